#!/usr/bin/env bash
# The paper on one of its data sets: from the downloaded folder to checkpoints, worlds and metrics.
#
#   runs/paper.sh inat2017 DATA OUT         DATA: train2017.json, val2017.json, their photos and places
#   runs/paper.sh inat_geo_10k DATA OUT     the same, with federated_train_geo_10k.csv and test.csv
#   runs/paper.sh wilds_iwildcam DATA OUT   iwildcam_v2.0, with gps_locations.json
#
#   ENCODER=FILE            Space2Vec-grid of TorchSpatial (default: DATA/space2vec_grid.pth.tar)
#   DENSE=CHECKPOINT        what table 3 starts from (default: OUT/dense); for inat_geo_10k the paper
#                           takes the dense network of inat2017
#   SETTINGS="epochs=1 ..." settings of every training, to see that everything runs
#
# What to download, and from where: docs/datasets.md. A training that is done is not done again. A
# line that starts with "homerange" is a command that you can run yourself.
set -euo pipefail
[ $# -eq 3 ] || { sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2; }
recipe=$1 data=$2 out=$3
encoder=${ENCODER:-$data/space2vec_grid.pth.tar} start=${DENSE:-$out/dense}
root=$(cd "$(dirname "$0")/.." && pwd)
PATH="$root/.venv/bin:$PATH"
settings=()
for setting in ${SETTINGS:-}; do settings+=(--set "$setting"); done
say() { printf '\n== %s\n' "$*"; }
partly() { "$@" || [ $? -eq 3 ]; } # 3: done, but some rows or photos were left out and listed

# train NAME STAGE MANIFEST [OPTION...]: a checkpoint out/NAME, unless it is there or goes on
train() {
  local name=$1 stage=$2 manifest=$3 resume=()
  shift 3
  [ ! -e "$out/$name/done" ] || return 0
  [ ! -e "$out/$name/training_state.pt" ] || resume=(--resume)
  say "train $name"
  partly homerange train "$stage" "$manifest" -o "$out/$name" --recipe "$recipe" "$@" \
    ${settings[@]+"${settings[@]}"} ${resume[@]+"${resume[@]}"}
  touch "$out/$name/done"
}

# 1. Import: photos, splits, places; regions are S2 cells or clusters of cameras.
mkdir -p "$out"
all=$out/$recipe.parquet split=test
say "import"
case $recipe in
  inat2017)
    split=val # the labels of the test photos were never published
    partly homerange import inaturalist "$data/train2017.json" "$data/val2017.json" -o "$all"
    places=() ;;
  inat_geo_10k)
    partly homerange import inat-geo "$data/federated_train_geo_10k.csv" --test "$data/test.csv" \
      --annotations "$data/train2017.json" --annotations "$data/val2017.json" -o "$all"
    places=(iNat-Geo-10K-6 2/1 2/2 2/0 0/ 1/ 4/2) ;;
  wilds_iwildcam)
    partly homerange import wilds "$data" --gps "$data/gps_locations.json" -o "$all"
    places=(iWildcam-6 Kenya "Guatemala and Belize" Rwanda Ecuador Bolivia Laos) ;;
  *) echo "no data set is named $recipe; use inat2017, inat_geo_10k or wilds_iwildcam" >&2; exit 2 ;;
esac

# 2. The rows of table 2: dense, and supervised by places in all blocks or in the last two.
train dense dense "$all"
train loc-all location "$all" --from "$out/dense" --encoder "$encoder"
train loc-last-two location "$all" --from "$out/dense" --encoder "$encoder" \
  --set location_layers=last-two

# 3. Experts, from the dense network and from the one that knows places.
train experts experts "$all" --from "$out/dense"
train loc-experts experts "$all" --from "$out/loc-all"

# 4. The rows of table 3: finetuned on six places ("-6") and on each of them ("-1"). A dense network
#    keeps its encoder and gets a new head.
for place in ${places[@]+"${places[@]}"}; do
  name=${place//[ \/]/-}
  partly homerange import places "$all" --of "$place" -o "$out/$name.parquet"
  train "dense-$name" dense "$out/$name.parquet" --set start="$start/weights.safetensors"
  train "experts-$name" experts "$out/$name.parquet" --from "$start"
  train "loc-experts-$name" experts "$out/$name.parquet" --from "$out/loc-all"
done

# 5. Measure, and publish the worlds from which places are cut.
for name in dense loc-all loc-last-two experts loc-experts; do
  say "measure $name"
  partly homerange evaluate "$out/$name" "$all" --split "$split"
done
for name in experts loc-experts; do
  [ -e "$out/$name-world/world.json" ] ||
    partly homerange profile "$out/$name" "$all" -o "$out/$name-world" --drop-rule zero
done

# 6. Tables and figures.
say "tables and figures"
partly homerange report data "$all" -o "$out/figures" --places "${places[0]:-iNat-Geo-10K-6}"
partly homerange report experts "$out/loc-experts" "$all" -o "$out/figures" \
  --encoder "$encoder" --located "$out/loc-all"
if [ ${#places[@]} -gt 0 ]; then
  six=${places[0]}
  partly homerange report tables "$all" -o "$out/tables" --places "$six" --checkpoint dense="$out/dense" \
    --checkpoint loc-all="$out/loc-all" --checkpoint loc-last-two="$out/loc-last-two" \
    --checkpoint moe="$out/experts" --checkpoint dense-6="$out/dense-$six" \
    --checkpoint moe-6="$out/experts-$six" --checkpoint moe-6-loc="$out/loc-experts-$six"
fi
if [ "$recipe" = inat_geo_10k ]; then
  partly homerange report figures --world "$out/experts-world" --s2 2/1 -o "$out/figures" \
    --checkpoint "$out/experts" --manifest "$all"
fi
say "all of it is in $out"
