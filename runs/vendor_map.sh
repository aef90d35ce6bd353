#!/usr/bin/env bash
# Fetch what the page of the map is built on, in fixed versions, from npm:
#   runs/vendor_map.sh runtime   ONNX Runtime for the browser, which is not in the repository (5 MB)
#   runs/vendor_map.sh all       MapLibre GL and exifr again as well, which are; axe-core for a test
set -euo pipefail
cd "$(dirname "$0")/.."
VENDOR=homerange/map/static/vendor
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PYTHON=${PYTHON:-.venv/bin/python}

packages="onnxruntime-web@1.30.0 esbuild@0.28.1"
if [ "${1:-runtime}" = all ]; then
  packages="$packages maplibre-gl@5.24.1 exifr@7.1.3"
fi
# shellcheck disable=SC2086  # a list of words
npm install --prefix "$work" --no-audit --no-fund --silent $packages
from=$work/node_modules

# A browser loads no module from a folder on disk: the runtime becomes a plain script, ...
"$from/.bin/esbuild" "$from/onnxruntime-web/dist/ort.wasm.bundle.min.mjs" \
  --bundle --format=iife --global-name=ort --minify --log-level=error \
  --legal-comments=inline --outfile="$VENDOR/ort.js"
# ... and its WebAssembly a chunk, as the data of the page is.
"$PYTHON" - "$from/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm" "$VENDOR/ort-wasm.js" <<'PY'
import sys
from pathlib import Path

import numpy as np

from homerange.map.chunks import chunk_script

source, target = map(Path, sys.argv[1:])
wasm = np.frombuffer(source.read_bytes(), np.uint8)
target.write_text(chunk_script("ort-wasm", {}, {"wasm": wasm}), encoding="utf-8")
PY

if [ "${1:-runtime}" = all ]; then
  sed '/sourceMappingURL/d' "$from/maplibre-gl/dist/maplibre-gl.js" > "$VENDOR/maplibre-gl.js"
  cp "$from/maplibre-gl/dist/maplibre-gl.css" "$VENDOR/"
  cp "$from/exifr/dist/mini.umd.js" "$VENDOR/exifr.js"
  cat "$from/maplibre-gl/LICENSE.txt" > "$VENDOR/LICENSES.txt"
  printf '\n\n--- exifr ---\n\n' >> "$VENDOR/LICENSES.txt"
  cat "$from/exifr/LICENSE" >> "$VENDOR/LICENSES.txt"
fi
echo "in $VENDOR: $(ls "$VENDOR" | tr '\n' ' ')"
