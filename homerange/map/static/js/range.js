// Where a species was recorded: coarse cells, as the world publishes them.

import { cellRing } from "./cells.js";
import { make, saveSvg } from "./dom.js";
import { countryShapes } from "./countries.js";
import { words } from "./words.js";

const BAND_FROM = [1, 2, 6, 21, 101];

/** The cells of a class with their band of records; null where they are withheld. */
export function rangeOf(world, records, c) {
  if (world.withheld.includes(c)) return null;
  const cells = [];
  const { cells: all } = records;
  for (let k = 0; k < all.count; k += 1) {
    let count = 0;
    for (let n = records.first[k]; n < records.first[k + 1]; n += 1) {
      if (records.species[n] === c) count += records.count[n];
    }
    if (count) cells.push({ ring: cellRing(all.id[k], 1), band: BAND_FROM.filter((from) => from <= count).length });
  }
  return cells;
}

/** The same as a drawing of its own: land, and the cells on it, in plate carrée. */
export function saveRange(name, cells) {
  const path = (ring) => `M${ring.map(([lon, lat]) => `${lon.toFixed(2)} ${(-lat).toFixed(2)}`).join("L")}Z`;
  const land = countryShapes().features.flatMap(({ geometry }) => geometry.coordinates.flat().map(path)).join("");
  const svg = make(
    "svg",
    { viewBox: "-180 -90 360 180", class: "range-file" },
    make("title", {}, words.rangeTitle(name)),
    make("path", { d: land, class: "land" }),
    cells.map(({ ring, band }) => make("path", { d: path(ring), class: `band-${band}` })),
  );
  document.body.append(svg);
  saveSvg(svg, `${name.toLowerCase().replaceAll(" ", "-")}.svg`);
  svg.remove();
}
