// The scan of the face: coaching first, then the steps that the service asks
// for, one at a time. The camera is on only while one of the two is seen.
import { CameraError, advice, closeCamera, fault, hold, meter, nextPicture, openCamera, play } from "./device.js";

const root = document.querySelector("[data-face]");
const find = (name) => document.querySelector(`[data-${name}]`);
const [mirror, coach, coachSaid, dialog, video, words, arrow, progress] = ["mirror", "coach", "coach-said", "scan", "scan-video", "scan-words", "arrow", "scan-progress"].map(find);
const faultBox = root.querySelector('[data-when="fault"]');
const most = Number(root.dataset.stepFrames);
const largest = Number(root.dataset.maxFrame);

// A colour stays at least so long, whatever is asked for: no more than one
// flash a second.
const shortest = 500;
const picturesOfAColour = 4;
const seconds = 3;

let stream; // the open camera
let coaching; // the timer of the coaching
let scanning; // the scan under way: {id, letGo, ended}

root.hidden = false;
find("start").addEventListener("click", scan);
find("stop").addEventListener("click", () => fail(fault.ended));
dialog.addEventListener("cancel", (event) => {
  event.preventDefault();
  fail(fault.ended);
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) fail(fault.hidden);
});
addEventListener("pagehide", () => {
  if (scanning) tell(fault.ended);
  release();
});
open();

// show shows one of the three states.
function show(state) {
  for (const part of root.querySelectorAll("[data-when]")) part.hidden = part.dataset.when !== state;
}

// open switches the camera on and coaches.
async function open() {
  show("opening");
  try {
    const opened = await openCamera();
    if (document.hidden || stream) {
      closeCamera(opened);
      if (document.hidden) throw new CameraError(fault.hidden);
      return;
    }
    stream = opened;
    stream.getVideoTracks()[0].addEventListener("ended", () => fail(fault.stopped));
    show("ready");
    await play(mirror, stream);
    if (!stream) return; // it was stopped meanwhile
    startCoaching();
    find("start").focus({ preventScroll: true });
  } catch (error) {
    fail(error.code ?? fault.stopped);
  }
}

// startCoaching says twice a second what to change. It is read aloud only when
// it has stayed the same for a while, and not too often.
function startCoaching() {
  const measure = meter(mirror);
  let shown;
  let same = 0;
  let quietUntil = 0;
  const look = () => {
    const seen = measure();
    if (!seen) return;
    const advised = advice(seen);
    const text = advised || "Good. Keep your face in the oval and choose Start.";
    same = text === shown ? same + 1 : 0;
    shown = text;
    if (same < 1 && coach.textContent) return;
    coach.textContent = text;
    coach.classList.toggle("lk-coach--good", !advised);
    if (same >= 2 && performance.now() > quietUntil && coachSaid.textContent !== text) {
      coachSaid.textContent = text;
      quietUntil = performance.now() + 5000;
    }
  };
  look();
  coaching = setInterval(look, 500);
}

// release switches the camera off and closes the scan's window.
function release() {
  clearInterval(coaching);
  const letGo = scanning?.letGo;
  if (scanning) scanning.ended = true;
  scanning = undefined;
  letGo?.();
  closeCamera(stream, mirror, video);
  stream = undefined;
  if (dialog.open) dialog.close();
  dialog.style.backgroundColor = "";
}

// fail says what is wrong, with the way to try again. The application hears of
// a scan that does not go on.
function fail(code) {
  if (!faultBox.hidden && !stream) return; // it is said already
  if (scanning) tell(code);
  release();
  const template = document.querySelector(`template[data-fault="${code}"]`) ?? document.querySelector(`template[data-fault="${fault.stopped}"]`);
  faultBox.replaceChildren(template.content.cloneNode(true));
  show("fault");
  const again = faultBox.querySelector("[data-again]");
  again.addEventListener("click", open);
  if (!document.hidden) again.focus({ preventScroll: true });
}

function tell(code) {
  navigator.sendBeacon(`/face/stop?code=${code}`);
}

// ask sends something to the application and goes on where it says.
async function ask(path, body) {
  let answer;
  try {
    answer = await fetch(path, { method: "POST", body, headers: { Accept: "application/json" } });
  } catch (error) {
    throw new CameraError(fault.ended, error); // the page says itself that the application is gone
  }
  if (!answer.ok) throw new CameraError(fault.ended);
  return answer.json();
}

// scan runs one scan from the countdown to its result.
async function scan() {
  if (scanning || !stream) return;
  clearInterval(coaching);
  const run = { id: "", letGo: undefined, ended: false };
  scanning = run;
  const gone = () => run.ended;
  try {
    say("");
    arrow.hidden = true;
    progress.value = 0;
    dialog.showModal();
    await play(video, stream);
    say(`Look at the middle of the screen. The scan starts in ${seconds} seconds.`);
    await wait(seconds * 1000);
    if (gone()) return;
    run.letGo = await hold(stream);
    if (gone()) return run.letGo();
    let answer = await ask("/face/begin");
    if (gone()) return;
    if (answer.go) return leave(answer.go);
    const { scan: id, steps } = answer;
    while (answer.step.number) {
      const { step } = answer;
      progress.value = (step.number - 1) / steps;
      const form = await take(step, gone);
      if (gone()) return;
      answer = await ask(`/face/step?scan=${encodeURIComponent(id)}&step=${step.number}`, form);
      if (gone()) return;
      if (answer.go) return leave(answer.go);
    }
    progress.value = 1;
    arrow.hidden = true;
    dialog.style.backgroundColor = "";
    await run.letGo();
    closeCamera(stream, mirror, video);
    stream = undefined;
    find("stop").hidden = true; // there is nothing left to stop
    say("That was all. The camera is off. Comparing your face with your photo.");
    leave((await ask(`/face/finish?scan=${encodeURIComponent(id)}`)).go);
  } catch (error) {
    find("stop").hidden = false;
    if (!gone()) fail(error.code ?? fault.stopped);
  }
}

// leave goes on to another page with the camera off.
function leave(to) {
  scanning.ended = true;
  scanning.letGo?.();
  scanning = undefined;
  closeCamera(stream, mirror, video);
  stream = undefined;
  location.assign(to);
}

function say(text) {
  if (words.textContent !== text) words.textContent = text;
}

// take shows a step and takes its pictures, evenly spaced, the last one at its
// end.
async function take(step, gone) {
  const length = Math.max(shortest, step.milliseconds);
  const count = step.turn ? 2 * most : Math.min(most, picturesOfAColour);
  dialog.style.backgroundColor = step.colour;
  arrow.hidden = !step.turn;
  arrow.classList.toggle("lk-scan__arrow--right", step.turn === "right");
  say(step.turn ? `Turn your head a little to the ${step.turn}.` : "Look straight at the screen.");
  const shown = await painted();
  const pictures = [];
  for (let next = 1; next <= count && !gone(); ) {
    const at = (await nextPicture(video)) - shown;
    if (at < (length * next) / count) continue;
    pictures.push([Math.round(at), picture()]);
    next = Math.max(next + 1, Math.floor((at * count) / length) + 1);
  }
  const form = new FormData();
  for (const [at, taken] of pictures) form.append(String(at), await taken);
  return form;
}

// painted waits until what was changed is on the screen, and gives the time.
function painted() {
  return new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
}

function wait(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

// picture takes what the video shows now: the middle of it, 640 by 480 or the
// other way round at most, not mirrored.
function picture() {
  const { videoWidth: w, videoHeight: h } = video;
  const shape = w >= h ? 4 / 3 : 3 / 4;
  const cut = w / h > shape ? { w: Math.round(h * shape), h } : { w, h: Math.round(w / shape) };
  const scale = Math.min(1, 640 / Math.max(cut.w, cut.h));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(cut.w * scale);
  canvas.height = Math.round(cut.h * scale);
  canvas.getContext("2d", { alpha: false }).drawImage(video, (w - cut.w) / 2, (h - cut.h) / 2, cut.w, cut.h, 0, 0, canvas.width, canvas.height);
  return encode(canvas, 0.8);
}

// encode makes a JPEG that is small enough to send.
async function encode(canvas, quality) {
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));
  if (!blob) throw new CameraError(fault.stopped);
  return blob.size > largest && quality > 0.2 ? encode(canvas, quality - 0.2) : blob;
}
