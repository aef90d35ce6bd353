#!/usr/bin/env bash
# The whole road in one go: photos with places -> world -> the models of two places -> results.
#
#   HOMERANGE_PHOTOS=FOLDER   your photos: a folder with manifest.csv (one row per photo)
#   QUICK=1                   a short training, to see that everything runs
#   OUT=FOLDER                where everything goes (default: quickstart)
#
# Each line below that starts with "homerange" is a command that you can run yourself.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
out=${OUT:-quickstart}
start=$SECONDS
say() { printf '\n== %s\n' "$*"; }

# 1. Photos: yours, else a small public download, else drawn ones.
mkdir -p "$out"
if [ -n "${HOMERANGE_PHOTOS:-}" ]; then
  photos=$HOMERANGE_PHOTOS
  say "photos: yours, from $photos"
elif python -m homerange.data.sample_photos "$out/photos"; then
  photos=$out/photos
  say "photos: Snapshot Safari, two reserves, from LILA (licence CDLA-permissive)"
else
  photos=$out/drawn
  say "photos: no network, so the synthetic planet is drawn; its species do not exist"
  python -m homerange.data.synthetic "$photos"
fi

# 2. Import: one table, split so that a camera or burst stays on one side.
say "import"
status=0
homerange import table "$photos/manifest.csv" -o "$out/manifest.parquet" || status=$?
[ "$status" -eq 0 ] || [ "$status" -eq 3 ] || exit "$status" # 3: some rows refused, and listed
homerange photos "$out/manifest.parquet" --split train -o "$out/train.csv"

# 3. Train: about 11,000 photos are shown, however many there are, so that it takes minutes.
shown=11000 px=192
[ -z "${QUICK:-}" ] || { shown=1200 px=128; }
labelled=$(python -c 'import csv, sys
print(sum(bool(row["species"]) for row in csv.DictReader(open(sys.argv[1]))))' "$out/train.csv")
epochs=$((shown / (labelled + 1)))
epochs=$((epochs < 2 ? 2 : epochs > 40 ? 40 : epochs))
say "train for $epochs epochs at $px px (start weights of the package)"
rm -rf "$out/checkpoint" "$out/world"
homerange train dense "$out/manifest.parquet" -o "$out/checkpoint" --recipe small-data \
  --set epochs="$epochs" --set input_px="$px"
homerange evaluate "$out/checkpoint" "$out/manifest.parquet"

# 4. Publish the world; from here on nothing needs torch.
say "publish"
homerange profile "$out/checkpoint" "$out/manifest.parquet" -o "$out/world"

# 5. Two places: their species, their models, and a run over test photos taken there.
made=()
while read -r name latitude longitude; do
  at=$latitude,$longitude
  say "species of $name ($at)"
  homerange species --world "$out/world" --at "$at"
  say "the model of $name"
  homerange get --world "$out/world" --at "$at" -o "$out/$name.homerange"
  if homerange photos "$out/manifest.parquet" --split test --at "$at" -o "$out/$name.csv"; then
    say "photos of $name that the network never saw"
    homerange predict "$out/$name.csv" --model "$out/$name.homerange" -o "$out/$name.json" \
      --contact-sheet "$out/$name.png" --fresh
    made+=("$name: package $out/$name.homerange, results $out/$name.json, sheet $out/$name.png")
  else
    made+=("$name: package $out/$name.homerange (no test photos there)")
  fi
done < <(python -m homerange.data.busy_places "$out/manifest.parquet")

say "done in $((SECONDS - start)) s; all of it is in $out"
printf '%s\n' "world: $out/world" ${made[@]+"${made[@]}"}
