#!/usr/bin/env bash
# The whole road in one go: photos with places -> world -> the models of two places -> results.
#
#   HOMERANGE_PHOTOS=FOLDER   your photos: a folder with manifest.csv (one row per photo)
#   QUICK=1                   a short training, to see that everything runs
#   OUT=FOLDER                where everything goes (default: quickstart)
#
# Each line below that starts with "homerange", after "partly" or not, is a command that you can run
# yourself.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
out=${OUT:-quickstart}
start=$SECONDS
say() { printf '\n== %s\n' "$*"; }
partly() { "$@" || [ $? -eq 3 ]; } # 3: done, but some rows or photos were left out and listed

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
  say "photos: none downloaded (see above), so a synthetic planet is drawn; its species do not exist"
  python -m homerange.data.synthetic "$photos"
fi

# 2. Import: one table, split so that a camera or burst stays on one side.
say "import"
partly homerange import table "$photos/manifest.csv" -o "$out/manifest.parquet"
homerange photos "$out/manifest.parquet" --split train -o "$out/train.csv"

# 3. Train: at most about 6,000 photos are shown, so that it takes minutes; each of a few is shown up
#    to 40 times. One epoch is the least, so with more photos it takes longer in proportion.
shown=6000 px=160 expert_epochs=6
[ -z "${QUICK:-}" ] || { shown=900 px=128 expert_epochs=1; }
labelled=$(python -c 'import csv, sys
print(sum(bool(row["species"]) for row in csv.DictReader(open(sys.argv[1]))))' "$out/train.csv")
epochs=$((shown / (labelled + 1)))
epochs=$((epochs < 1 ? 1 : epochs > 40 ? 40 : epochs))
expert_epochs=$((expert_epochs < epochs ? expert_epochs : epochs))
rm -rf "$out/dense" "$out/experts" "$out/world"
say "train a dense network for $epochs epochs at $px px (start weights of the package)"
partly homerange train dense "$out/manifest.parquet" -o "$out/dense" --recipe small-data \
  --set epochs="$epochs" --set input_px="$px"
partly homerange evaluate "$out/dense" "$out/manifest.parquet"

# 4. Experts: a part of it becomes 256 small experts, of which a place will keep some.
say "turn it into experts"
partly homerange train experts "$out/manifest.parquet" --from "$out/dense" -o "$out/experts" \
  --set epochs="$expert_epochs" --set input_px="$px"
partly homerange evaluate "$out/experts" "$out/manifest.parquet"

# 5. Publish the world; from here on nothing needs torch.
say "publish"
partly homerange profile "$out/experts" "$out/manifest.parquet" -o "$out/world"

# 6. Two places: their species, their models, their experts, and a run over test photos taken there.
places=$(python -m homerange.data.busy_places "$out/manifest.parquet")
made=() packages=()
while read -r name latitude longitude; do
  at=$latitude,$longitude
  say "species of $name ($at)"
  homerange species --world "$out/world" --at "$at"
  say "the model of $name, without a quarter of the experts"
  homerange get --world "$out/world" --at "$at" -o "$out/$name.homerange" --experts first-order:64
  homerange report figures --world "$out/world" --at "$at" -o "$out/$name-figures" \
    --experts first-order:64
  packages+=("$out/$name.homerange")
  made+=("$name: package $out/$name.homerange, routing graph $out/$name-figures/routing.png")
  if homerange photos "$out/manifest.parquet" --split test --at "$at" -o "$out/$name.csv"; then
    say "photos of $name that the network never saw"
    partly homerange predict "$out/$name.csv" --model "$out/$name.homerange" -o "$out/$name.json" \
      --contact-sheet "$out/$name.png" --fresh
    made+=("$name: results $out/$name.json, sheet $out/$name.png")
  else
    made+=("$name: no test photos there")
  fi
done <<<"$places"
say "experts that the places keep"
python -m homerange.report.kept_experts "${packages[@]}"

say "done in $((SECONDS - start)) s; all of it is in $out"
printf '%s\n' "world: $out/world" ${made[@]+"${made[@]}"}
