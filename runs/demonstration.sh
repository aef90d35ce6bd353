#!/usr/bin/env bash
# The demonstration world of the package, from nothing: homerange/world/demonstration/world.
#
#   WILDLIFE=FOLDER     camera-trap photos: a folder with manifest.csv (one row per photo)
#   SPECIES115=FOLDER   photos of butterflies, moths, cats and birds, the same way
#   OUT=FOLDER          where everything goes on the way (default: demonstration)
#
# About an hour on two cores. Rows under the GPL are left out. Of each class at most two photos of val
# and three of test are kept as evidence, so that the world stays below 6 MB.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
out=${OUT:-demonstration}
partly() { "$@" || [ $? -eq 3 ]; } # 3: done, but some rows or photos were left out and listed

mkdir -p "$out"
python runs/demonstration_photos.py rows "$WILDLIFE" "$SPECIES115" "$out"
partly homerange import table "$out/wildlife.csv" -o "$out/wildlife.parquet"
partly homerange import table "$out/species115.csv" -o "$out/species115.parquet"
partly homerange import join "$out/wildlife.parquet" "$out/species115.parquet" -o "$out/both.parquet"
partly homerange train dense "$out/both.parquet" -o "$out/dense" --recipe small-data \
  --set input_px=128 --set epochs=9
partly homerange train experts "$out/both.parquet" --from "$out/dense" -o "$out/experts" \
  --set input_px=128 --set epochs=2 --set tokens_max=20000
partly homerange evaluate "$out/experts" "$out/both.parquet"
python runs/demonstration_photos.py evidence "$out/both.parquet" "$out/evidence.parquet"
partly homerange profile "$out/experts" "$out/evidence.parquet" -o "$out/world" --name demonstration
rm -rf homerange/world/demonstration/world
cp -r "$out/world" homerange/world/demonstration/world
