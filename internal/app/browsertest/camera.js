function (options, picture) {
  // Only top pages that may have a camera at all.
  if (!navigator.mediaDevices) return;
  const state = { tracks: [], opened: 0, asked: 0, options };
  window.simulatedCamera = state;
  const width = 640;
  const height = 480;

  navigator.mediaDevices.getUserMedia = async () => {
    state.asked++;
    if (state.options.fault) throw new DOMException("simulated", state.options.fault);
    state.opened++;
    // The page's policy lets it load no picture but its own and data: ones.
    const image = new Image();
    image.src = picture;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const stream = canvas.captureStream(30);
    const [track] = stream.getVideoTracks();
    state.tracks.push(track);

    // What the screen has shown lately, as linear light.
    const shown = [];
    const face = state.options.face;
    let turned = 0;
    const timer = setInterval(() => {
      if (track.readyState === "ended") return clearInterval(timer);
      const now = performance.now();
      const dialog = document.querySelector("[data-scan]");
      const light = dialog?.open ? getComputedStyle(dialog).backgroundColor.match(/\d+/g).map((v) => linear[v]) : [0.5, 0.5, 0.5];
      shown.push([now, light]);
      while (shown.length > 1 && shown[1][0] <= now - state.options.lag) shown.shift();
      const [, lit] = shown[0];

      const arrow = document.querySelector("[data-arrow]");
      const wanted = dialog?.open && arrow && !arrow.hidden ? (arrow.classList.contains("lk-scan__arrow--right") ? -1 : 1) : 0;
      turned += Math.max(-0.08, Math.min(0.08, wanted - turned));
      context.drawImage(image, 0, 0, width, height);
      if (turned && state.options.turn) turn(context, image, face, turned * state.options.turn);

      // The face reflects the screen; what is behind it hardly does.
      const pixels = context.getImageData(0, 0, width, height);
      const { data } = pixels;
      for (let y = 0, i = 0; y < height; y++) {
        for (let x = 0; x < width; x++, i += 4) {
          const dx = (x / width - face.x - face.w / 2) / (face.w * 0.6);
          const dy = (y / height - face.y - face.h / 2) / (face.h * 0.65);
          const share = Math.max(0.04, 1 - dx * dx - dy * dy) * state.options.gain;
          const noise = (Math.random() + Math.random() - 1) * 1.7 * state.options.noise;
          for (let c = 0; c < 3; c++) {
            const own = linear[data[i + c]];
            data[i + c] = screen(own * (1 - state.options.gain) + lit[c] * share * (0.35 + own)) + noise;
          }
        }
      }
      context.putImageData(pixels, 0, 0);
    }, 33);
    return stream;
  };

  // turn moves the middle of the face sideways more than its edges, as a head
  // does that turns.
  function turn(context, image, face, amount) {
    const left = (face.x - face.w * 0.15) * width;
    const wide = face.w * 1.3 * width;
    const top = (face.y - face.h * 0.35) * height;
    const high = face.h * 1.5 * height;
    const [sx, sy] = [image.naturalWidth / width, image.naturalHeight / height];
    const strip = 2;
    for (let x = 0; x < wide; x += strip) {
      // Where this strip comes from: the inverse of the move, once improved.
      const move = (at) => Math.sin((Math.PI * Math.max(0, Math.min(wide, at))) / wide) ** 2 * amount * face.w * width;
      const from = x - move(x - move(x));
      context.drawImage(image, (left + from) * sx, top * sy, strip * sx, high * sy, left + x, top, strip, high);
    }
  }

  // sRGB (IEC 61966-2-1).
  const linear = Array.from({ length: 256 }, (_, v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  const curve = Array.from({ length: 1025 }, (_, i) => (i / 1024 <= 0.0031308 ? (12.92 * i) / 1024 : 1.055 * (i / 1024) ** (1 / 2.4) - 0.055) * 255);
  function screen(v) {
    return curve[Math.max(0, Math.min(1024, Math.round(v * 1024)))];
  }
}
