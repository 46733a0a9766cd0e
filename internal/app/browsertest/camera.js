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
    // Not an img element: the page's policy may not let it have one.
    const image = await createImageBitmap(new Blob([Uint8Array.from(atob(picture), (c) => c.charCodeAt(0))]));
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

      // The face reflects the screen as much as it reflects any light, most of
      // it where it looks at the screen; what is behind it hardly does.
      const pixels = context.getImageData(0, 0, width, height);
      const { data } = pixels;
      const still = turned && state.options.turn && depth ? data.slice() : undefined;
      for (let y = 0, i = 0; y < height; y++) {
        for (let x = 0; x < width; x++, i += 4) {
          const dx = (x / width - face.x - face.w / 2) / (face.w * 0.75);
          const dy = (y / height - face.y - face.h / 2) / (face.h * 0.8);
          const share = Math.max(0.03, 1 - dx * dx - dy * dy) * state.options.gain * 1.2;
          const noise = (Math.random() + Math.random() - 1) * 1.7 * state.options.noise;
          let from = i;
          if (still) {
            // A turn moves what is before the eyes more than what is behind.
            const move = (at) => turned * state.options.turn * depth[y * width + Math.max(0, Math.min(width - 1, Math.round(at)))] * width;
            const source = Math.max(0, Math.min(width - 1, Math.round(x - move(x - move(x)))));
            from = 4 * (y * width + source);
          }
          for (let c = 0; c < 3; c++) {
            const own = linear[(still ?? data)[from + c]];
            data[i + c] = screen(own * (1 - state.options.gain + lit[c] * share)) + noise;
          }
        }
      }
      context.putImageData(pixels, 0, 0);
    }, 33);
    return stream;
  };

  // The depth of each pixel, from the grid.
  const depth = options.depth?.length ? spread(options.depth, options.columns, options.depth.length / options.columns) : undefined;
  function spread(grid, columns, rows) {
    const out = new Float32Array(width * height);
    for (let y = 0; y < height; y++) {
      const gy = Math.min(rows - 1.001, (y / height) * (rows - 1));
      for (let x = 0; x < width; x++) {
        const gx = Math.min(columns - 1.001, (x / width) * (columns - 1));
        const [c, r] = [Math.floor(gx), Math.floor(gy)];
        const [fx, fy] = [gx - c, gy - r];
        const at = (row, column) => grid[row * columns + column];
        out[y * width + x] = (at(r, c) * (1 - fx) + at(r, c + 1) * fx) * (1 - fy) + (at(r + 1, c) * (1 - fx) + at(r + 1, c + 1) * fx) * fy;
      }
    }
    return out;
  }

  // sRGB (IEC 61966-2-1).
  const linear = Array.from({ length: 256 }, (_, v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  const curve = Array.from({ length: 1025 }, (_, i) => (i / 1024 <= 0.0031308 ? (12.92 * i) / 1024 : 1.055 * (i / 1024) ** (1 / 2.4) - 0.055) * 255);
  function screen(v) {
    return curve[Math.max(0, Math.min(1024, Math.round(v * 1024)))];
  }
}
