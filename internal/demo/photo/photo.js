// Takes a profile photo for the demo. The camera is on while this page is seen.
import { closeCamera, openCamera, play } from "/assets/camera/device.js";

const [camera, video, take, said, file] = ["camera", "video", "take", "said", "file"].map((id) => document.getElementById(id));
let stream;

take.addEventListener("click", photograph);
addEventListener("pagehide", () => closeCamera(stream, video));
document.addEventListener("visibilitychange", () => (document.hidden ? closeCamera(stream, video) : open()));
open();

async function open() {
  try {
    stream = await openCamera();
    camera.hidden = false;
    await play(video, stream);
  } catch {
    closeCamera(stream, video);
    camera.hidden = true;
    file.open = true;
    said.textContent = "The camera cannot be used. Allow it and load this page again, or choose a photo from a file.";
  }
}

async function photograph() {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  said.textContent = "Looking at the photo.";
  take.disabled = true;
  const body = new FormData();
  body.append("photo", await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92)), "photo.jpg");
  try {
    const page = await (await fetch("/photo", { method: "POST", body })).text();
    said.textContent = new DOMParser().parseFromString(page, "text/html").getElementById("said").textContent;
  } catch {
    said.textContent = "The demo has ended.";
  } finally {
    take.disabled = false;
  }
}
