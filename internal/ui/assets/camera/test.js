// The test of the camera on the page that tests this computer: is there one,
// may the page use it, and does it see enough? Nothing is sent anywhere.
import { advice, closeCamera, fault, meter, openCamera, play } from "./device.js";

const button = document.querySelector("[data-camera-test]");
const result = document.querySelector("[data-camera-result]");
const said = document.querySelector("[data-camera-said]");
const report = document.querySelector("[data-report]");
let stream;

button.hidden = false;
button.addEventListener("click", test);
for (const event of ["pagehide", "visibilitychange"]) {
  (event === "pagehide" ? window : document).addEventListener(event, () => {
    if (event === "pagehide" || document.hidden) closeCamera(stream);
  });
}

async function test() {
  button.disabled = true;
  said.textContent = "Testing the camera.";
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  try {
    stream = await openCamera();
    const name = stream.getVideoTracks()[0].label || "The camera";
    await play(video, stream);
    const seen = await look(video);
    const { videoWidth: w, videoHeight: h } = video;
    if (seen.most < 24) return show(document.querySelector(`template[data-fault="${fault.dark}"]`), fault.dark);
    const dark = seen.face < 55 ? advice(seen) : "";
    show(document.querySelector(dark ? "[data-camera-warning]" : "[data-camera-good]"), "", `${name} works. Its picture has ${w} by ${h} points.`, dark);
  } catch (error) {
    const code = error.code ?? fault.stopped;
    show(document.querySelector(`template[data-fault="${code}"]`), code);
  } finally {
    closeCamera(stream, video);
    stream = undefined;
    button.disabled = false;
    button.textContent = "Test the camera again";
  }
}

// look gives the camera a second to get used to the light.
async function look(video) {
  const measure = meter(video);
  measure();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  return measure();
}

// show puts the result on the page, into the report, and reads it aloud.
function show(template, code, detail, next) {
  const part = template.content.cloneNode(true);
  if (detail) part.querySelector("[data-detail]").textContent = detail;
  if (next) part.querySelector("[data-next]").textContent = next;
  const words = part.querySelector("[data-detail]").textContent;
  const level = part.querySelector(".nhsuk-tag").textContent.toLowerCase();
  const todo = part.querySelector("[data-next]")?.textContent ?? "";
  result.replaceChildren(part);
  said.textContent = `${words} ${todo}`.trim();
  report.textContent = report.textContent.replace(/^Camera: .*$/m, () => `Camera: ${level}. ${words}${code ? ` [${code}]` : ""}`);
}
