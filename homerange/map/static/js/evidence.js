// How right a list would be, from photos that were judged before: no photo is needed.
// The same numbers as homerange/specialize/figures.py gives for `get`, for top-1.

import { cellLevel, meanEdgeKm } from "./cells.js";
import { areasOf } from "./places.js";

const PUBLISHED_LEVEL = 8;
export const MEASURED_FROM = 30;

/**
 * Judge the world, and a package that knows `classes`, on photos of species.
 *
 * @param world The chunk `world`.
 * @param evidence The chunk `evidence`, with `cells` as measureCells gives them.
 * @param place As in place.json.
 * @param table As speciesAt gives it.
 */
export function judge(world, evidence, place, table) {
  const here = cellsHere(evidence.cells, place);
  const kept = mark(world.labels.length, table.classes);
  const onList = mark(world.labels.length, table.species.map((row) => row.class_index));
  const outcome = world.labels.map((label) => world.outcomes.includes(label));
  const count = { photos: 0, offList: 0, world: 0, package: 0, unsure: 0 };
  for (let p = 0; p < evidence.photo_class.length; p += 1) {
    const c = evidence.photo_class[p];
    if (outcome[c] || !(onList[c] || here[evidence.photo_cell[p]])) continue;
    count.photos += 1;
    const [first, end] = [evidence.first[p], evidence.first[p + 1]];
    if (first === end) count.world += 1;
    if (!onList[c]) count.offList += 1;
    else if (!evidence.beaten_by.subarray(first, end).some((b) => kept[b])) {
      if (evidence.cut_short[p]) count.unsure += 1;
      else count.package += 1;
    }
  }
  return count;
}

function cellsHere(cells, place) {
  const here = new Uint8Array(cells.count);
  const areas = areasOf(place);
  for (let k = 0; k < cells.count; k += 1) {
    if (cells.id[k] === 0n) continue;
    const level = cellLevel(cells.id[k]);
    const unsureKm = level < PUBLISHED_LEVEL ? meanEdgeKm(level) : 0;
    here[k] = areas.some((area) => unsureKm <= area.radiusKm && area.overlaps(cells, k)) ? 1 : 0;
  }
  return here;
}

function mark(length, indices) {
  const marks = new Uint8Array(length);
  for (const k of indices) marks[k] = 1;
  return marks;
}

/** Ends of Wilson's 95 % interval, as homerange/data/metrics.py has them. */
export function wilson(correct, photos) {
  if (!photos) return [0, 1];
  const z = 1.959963984540054;
  const share = correct / photos;
  const scale = 1 + z ** 2 / photos;
  const middle = (share + z ** 2 / (2 * photos)) / scale;
  const half = (z / scale) * Math.sqrt((share * (1 - share)) / photos + z ** 2 / (4 * photos ** 2));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

/** Bytes of a package: linear in its classes and in its experts. */
export function packageBytes(world, classes, droppedByLayer = {}) {
  const { whole_cut_bytes, class_bytes, expert_bytes } = world.sizes;
  let bytes = whole_cut_bytes - class_bytes * (world.labels.length - classes);
  for (const [layer, dropped] of Object.entries(droppedByLayer)) {
    bytes -= dropped * (expert_bytes[layer] ?? 0);
  }
  return bytes;
}
