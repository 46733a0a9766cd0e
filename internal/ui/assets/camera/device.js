// The camera: opening it, what can be wrong with it, and letting go of it.
// Nothing leaves the page from here.

// Codes of package problem, for what only the browser knows.
export const fault = {
  missing: "LK-1101",
  refused: "LK-1102",
  busy: "LK-1103",
  cannot: "LK-1104",
  stopped: "LK-1105",
  dark: "LK-1106",
  hidden: "LK-1107",
  ended: "LK-1108",
};

// CameraError carries one of the codes.
export class CameraError extends Error {
  constructor(code, cause) {
    super(code, { cause });
    this.code = code;
  }
}

// What getUserMedia's exceptions mean (W3C Media Capture and Streams, 10.2).
const meanings = {
  NotFoundError: fault.missing,
  OverconstrainedError: fault.missing,
  NotAllowedError: fault.refused,
  SecurityError: fault.refused,
  NotReadableError: fault.busy,
  AbortError: fault.busy,
};

// openCamera gives the stream of the camera that faces the person.
export async function openCamera() {
  if (!isSecureContext || !navigator.mediaDevices?.getUserMedia) throw new CameraError(fault.cannot);
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: { facingMode: "user", width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } },
    });
  } catch (error) {
    throw new CameraError(meanings[error.name] ?? fault.cannot, error);
  }
}

// closeCamera switches the camera off at once.
export function closeCamera(stream, ...videos) {
  for (const track of stream?.getTracks() ?? []) track.stop();
  for (const video of videos) if (video) video.srcObject = null;
}

// play shows the stream and waits for its first picture.
export async function play(video, stream) {
  video.srcObject = stream;
  try {
    await video.play();
  } catch (error) {
    throw new CameraError(fault.stopped, error);
  }
  await nextPicture(video);
}

// A camera that sends nothing for so long has stopped.
const silence = 3000;

// nextPicture waits for the camera's next picture and gives its time by
// performance.now(): when it was taken, where the browser knows.
export function nextPicture(video) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new CameraError(fault.stopped)), silence);
    const done = (time) => {
      clearTimeout(late);
      resolve(time);
    };
    if (video.requestVideoFrameCallback) {
      video.requestVideoFrameCallback((now, about) => done(plausible(about.captureTime, now) ? about.captureTime : now));
      return;
    }
    const before = video.currentTime;
    const look = () => {
      if (video.currentTime !== before) done(performance.now());
      else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
}

// plausible says whether a time of a picture can be true: some cameras' clocks
// are their own.
function plausible(taken, now) {
  return taken > now - 500 && taken <= now;
}

// hold stops the camera from making up for the screen's light: exposure and
// white balance stay as they are, where the browser can. The function that it
// gives lets go again: some cameras would stay so after the page is gone.
export async function hold(stream) {
  const [track] = stream.getVideoTracks();
  const can = track.getCapabilities?.() ?? {};
  const is = track.getSettings?.() ?? {};
  const fixed = {};
  const free = {};
  for (const [mode, value] of [
    ["exposureMode", "exposureTime"],
    ["whiteBalanceMode", "colorTemperature"],
  ]) {
    if (!can[mode]?.includes("manual") || !can[mode]?.includes("continuous")) continue;
    fixed[mode] = "manual";
    free[mode] = "continuous";
    if (is[value] !== undefined && can[value]) fixed[value] = is[value];
  }
  if (!Object.keys(fixed).length) return async () => {};
  const apply = (settings) => track.applyConstraints({ advanced: [settings] }).catch(() => {}); // the scan goes on without
  await apply(fixed);
  return () => (track.readyState === "live" ? apply(free) : Promise.resolve());
}

// What is measured of a picture: small, grey, here in the page.
const width = 64;
const height = 48;

// meter measures what a video shows: brightness in the oval and around it, how
// sharp it is, and how much has moved since the last time.
export function meter(video) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let last;
  return () => {
    if (!video.videoWidth) return undefined;
    context.drawImage(video, 0, 0, width, height);
    const { data } = context.getImageData(0, 0, width, height);
    const grey = new Float32Array(width * height);
    for (let i = 0; i < grey.length; i++) grey[i] = 0.2126 * data[4 * i] + 0.7152 * data[4 * i + 1] + 0.0722 * data[4 * i + 2];
    const seen = { face: 0, around: 0, bright: 0, sharp: 0, moved: 0, most: 0 };
    let inside = 0;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const v = grey[y * width + x];
        const within = ((x - width / 2) / (width * 0.23)) ** 2 + ((y - height / 2) / (height * 0.41)) ** 2 <= 1;
        seen.most = Math.max(seen.most, v);
        if (within) {
          inside++;
          seen.face += v;
          if (v > 250) seen.bright++;
          if (last) seen.moved += Math.abs(v - last[y * width + x]);
          if (x && y) seen.sharp += Math.abs(v - grey[y * width + x - 1]) + Math.abs(v - grey[(y - 1) * width + x]);
        } else seen.around += v;
      }
    }
    seen.face /= inside;
    seen.bright /= inside;
    seen.moved /= inside;
    seen.sharp /= inside;
    seen.around /= grey.length - inside;
    last = grey;
    return seen;
  };
}

// advice says what to change about a picture, "" for nothing.
export function advice(seen) {
  if (seen.most < 24) return "The picture is black. Open the camera's cover.";
  if (seen.face < 55 && seen.around > seen.face + 50) return "The light is behind you. Turn so that it falls on your face.";
  if (seen.face < 55) return "It is too dark. Turn on a light, or turn your face towards one.";
  if (seen.bright > 0.25) return "It is too bright. Turn away from the light a little.";
  if (seen.around > seen.face + 90) return "The light is behind you. Turn so that it falls on your face.";
  if (seen.moved > 18) return "Hold still.";
  if (seen.sharp < 3) return "The picture is not sharp. Hold still, or wipe the camera.";
  return "";
}
