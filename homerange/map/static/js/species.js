// Which species to expect at a place, and why: homerange/specialize/species.py and records.py.
// The two must give the same list for the same place; tests/map/test_parity.py compares them.

import { areasOf, listedIn } from "./places.js";
import { greatCircleKm } from "./sphere.js";
import { words } from "./words.js";

const BANDS_KM = [50, 200, 1000];
const COUNT_BAND_FROM = [1, 2, 6, 21, 101];
const COUNT_BANDS = ["1", "2-5", "6-20", "21-100", "101 or more"];
export const FEW_RECORDS = 30;
const NAMED_IN_A_REASON = 3;

/**
 * List the species of a world to expect at a place.
 *
 * @param world The chunk `world`.
 * @param records The chunk `records`, with `cells` as measureCells gives them.
 * @param place As in place.json.
 * @param include Classes to add.
 * @param exclude Classes to leave out.
 */
export function speciesAt(world, records, place, include = [], exclude = []) {
  const isOutcome = (c) => world.outcomes.includes(world.labels[c]);
  const byClass = new Map();
  for (const c of include) byClass.set(c, expected(world, c, words.reasonIncluded));
  for (const c of listedClasses(world, place)) byClass.set(c, expected(world, c, words.reasonListed));
  const areas = areasOf(place);
  const sums = areas.length ? recorded(world, records, areas) : null;
  const found = sums ? rowsOf(world, place, areas, sums) : [];
  for (const row of found) byClass.set(row.class_index, row);
  const kept = [...byClass.values()].filter(
    (row) => !exclude.includes(row.class_index) && !isOutcome(row.class_index),
  );
  kept.sort(strongestFirst);
  const outcomes = world.labels.map((_, c) => c).filter(isOutcome);
  return {
    species: kept,
    struck: exclude.map((c) => byClass.get(c) ?? expected(world, c, "")),
    classes: [...kept.map((row) => row.class_index), ...outcomes].sort((a, b) => a - b),
    missing: sums ? missingOf(records, sums, world.labels.length) : [],
    records: sums ? found.reduce((all, row) => all + sums.count[row.class_index], 0) : null,
  };
}

function listedClasses(world, place) {
  const classOf = new Map(world.labels.map((label, c) => [label.toLowerCase(), c]));
  const classes = listedIn(place).map((name) => classOf.get(name.trim().toLowerCase()));
  return classes.filter((c) => c !== undefined).sort((a, b) => a - b);
}

/** Sum up the records that count, for species of the world and, behind them, for others. */
function recorded(world, records, areas) {
  const names = world.labels.length + records.others.length;
  const sums = {
    count: new Float64Array(names),
    byMonth: new Float64Array(names * 13),
    nearestKm: new Float64Array(names).fill(Infinity),
    photographed: new Uint8Array(names),
    areas: new Map(),
  };
  const { cells } = records;
  const here = new Array(areas.length);
  const sure = areas.map((area) => records.uncertainties_km.map((km) => km <= area.radiusKm));
  for (let k = 0; k < cells.count; k += 1) {
    let any = false;
    for (let a = 0; a < areas.length; a += 1) {
      here[a] = areas[a].overlaps(cells, k);
      any ||= here[a];
    }
    if (any) addCell(records, sums, k, areas, here, sure);
  }
  return sums;
}

function addCell(records, sums, k, areas, here, sure) {
  const { cells } = records;
  const { middle } = areas[0];
  const km = areas.length === 1 && middle ? greatCircleKm(...middle, cells.lat[k], cells.lon[k]) : Infinity;
  for (let n = records.first[k]; n < records.first[k + 1]; n += 1) {
    const c = records.species[n];
    let counts = false;
    for (let a = 0; a < areas.length; a += 1) {
      if (!here[a] || !sure[a][records.uncertainty[n]]) continue;
      counts = true;
      if (!sums.areas.has(c)) sums.areas.set(c, new Set());
      sums.areas.get(c).add(a);
    }
    if (!counts) continue;
    sums.count[c] += records.count[n];
    sums.byMonth[13 * c + records.month[n]] += records.count[n];
    sums.nearestKm[c] = Math.min(sums.nearestKm[c], km);
    sums.photographed[c] |= records.photographed[n];
  }
}

function rowsOf(world, place, areas, sums) {
  const rows = [];
  for (let c = 0; c < world.labels.length; c += 1) {
    if (!sums.count[c] || world.outcomes.includes(world.labels[c])) continue;
    const strength = strengthOf(sums.count[c]);
    const band = place.kind === "circle" || place.kind === "cell" ? distanceBand(sums.nearestKm[c]) : "";
    const own = [...sums.areas.get(c)].sort((a, b) => a - b).map((a) => areas[a]);
    const where = band ? words.reasonNear(band) : reasonIn(own);
    const number = COUNT_BANDS[strength - 1];
    rows.push({
      ...expected(world, c, words.reasonRecorded(where, number, sums.photographed[c])),
      strength,
      distance_band: band,
      records_band: number,
      months: Array.from({ length: 12 }, (_, m) => strengthOf(sums.byMonth[13 * c + m + 1])),
    });
  }
  return rows;
}

function reasonIn(areas) {
  const named = areas.slice(0, NAMED_IN_A_REASON).map((area) => words.reasonIn(area));
  return words.reasonInAll(named, areas.length - named.length);
}

function missingOf(records, sums, classes) {
  const rows = records.others.map((species, k) => {
    const strength = strengthOf(sums.count[classes + k]);
    return { species, strength, records_band: COUNT_BANDS[strength - 1] };
  });
  return rows.filter((row) => row.strength > 0).sort(strongestFirst);
}

function strongestFirst(a, b) {
  return b.strength - a.strength || (a.species < b.species ? -1 : 1);
}

function strengthOf(count) {
  return COUNT_BAND_FROM.filter((from) => from <= count).length;
}

function expected(world, c, reason) {
  return {
    species: world.labels[c],
    common_name: world.common_names[c],
    class_index: c,
    reason,
    strength: 0,
    distance_band: "",
    records_band: "",
    months: new Array(12).fill(0),
  };
}

export function distanceBand(km) {
  const bound = BANDS_KM.find((one) => km < one);
  return bound ? `< ${bound.toLocaleString("en-US")} km` : "1,000 km or more";
}
