// A place, as place.json writes it, and which cells count for it: homerange/geo/place.py.

import {
  cellCentre,
  cellLevel,
  cellPath,
  cellReachKm,
  cellRing,
  cellToken,
  contains,
  meanEdgeKm,
  parseCell,
} from "./cells.js";
import { countryOutline } from "./countries.js";
import { capOf, crossingIn, isClockwise, isWithin, makeOutline } from "./outline.js";
import { circleRing, greatCircleKm } from "./sphere.js";

export const DEFAULT_RADIUS_KM = 100;
export const LARGEST_RADIUS_KM = 20038;
const NAMED_IN_A_UNION = 3;
const SHORTEST_DEGREE_KM = 111;
const SMALLEST_RADIUS_KM = Math.sqrt(1e-6 / Math.PI); // holds a square metre

/** Cells with what is asked of them again and again. */
export function measureCells(ids) {
  const cells = { id: ids, count: ids.length };
  for (const name of ["lat", "lon", "reachKm"]) cells[name] = new Float64Array(ids.length);
  ids.forEach((id, k) => {
    [cells.lat[k], cells.lon[k]] = cellCentre(id);
    cells.reachKm[k] = cellReachKm(id);
  });
  return cells;
}

/** The areas of a place: of several taken together, each; of a list of species, none. */
export function areasOf(place) {
  const parts = place.kind === "union" ? place.places : [place];
  return parts.filter(({ kind }) => kind !== "list").map((one) => KINDS[one.kind](one));
}

/** The species that a place lists by name, wherever it is. */
export function listedIn(place) {
  const parts = place.kind === "union" ? place.places : [place];
  return parts.find(({ kind }) => kind === "list")?.species ?? [];
}

/** Why the border of a polygon is none, or null: {kind, lat, lon} as the words need it. */
export function borderProblem({ geometry }) {
  const outline = polygonOutline(geometry);
  const lons = outline.areas.flat().map((ring) => ring.map((corner) => corner[1]));
  if (lons.some((ring) => ring.reduce((a, b) => Math.max(a, b)) - ring.reduce((a, b) => Math.min(a, b)) > 360)) return { kind: "wide" };
  outline.crossing ??= crossingIn(outline) ?? false;
  if (outline.crossing) return { kind: outline.crossing.tangled ? "tangled" : "crosses", ...outline.crossing };
  return outline.radiusKm > SMALLEST_RADIUS_KM ? null : { kind: "empty" };
}

/** Say for people where a place is, in the words of `homerange species`. */
export function describe(place) {
  if (place.kind === "list") return `a list of ${place.species.length} species`;
  if (place.kind !== "union") return KINDS[place.kind](place).description;
  const named = place.places.slice(0, NAMED_IN_A_UNION).map(describe).join(" and ");
  const more = place.places.length - NAMED_IN_A_UNION;
  return named + (more > 0 ? ` and ${more.toLocaleString("en-US")} more` : "");
}

/** What is asked of each kind: radius, middle (for distances), outline to draw, and overlap. */
const KINDS = {
  circle: ({ latitude_deg: lat, longitude_deg: lon, radius_km: radiusKm }) => ({
    kind: "circle",
    description: `within ${short(radiusKm)} km of ${lat.toFixed(4)}, ${lon.toFixed(4)}`,
    radiusKm,
    middle: [lat, lon],
    rings: () => [circleRing(lat, lon, radiusKm)],
    overlaps: (cells, k) =>
      isInBand(lat, radiusKm, cells, k) &&
      greatCircleKm(lat, lon, cells.lat[k], cells.lon[k]) - radiusKm - cells.reachKm[k] <= 0,
  }),
  cell: ({ cell }) => {
    const id = parseCell(cell);
    return {
      kind: "cell",
      description: `S2 cell ${cellPath(id)} (${cellToken(id)})`,
      radiusKm: meanEdgeKm(cellLevel(id)) / 2,
      middle: cellCentre(id),
      rings: () => [cellRing(id)],
      overlaps: (cells, k) => contains(id, cells.id[k]) || contains(cells.id[k], id),
    };
  },
  polygon: ({ name, geometry }) =>
    bordered("polygon", `the polygon ${name}`, polygonOutline(geometry)),
  country: ({ country, name }) =>
    bordered("country", `${name} (${country})`, countryOutline(country)),
};

/** Whether latitudes are near enough: most cells of a world are ruled out by this alone. */
function isInBand(lat, radiusKm, cells, k) {
  return Math.abs(cells.lat[k] - lat) * SHORTEST_DEGREE_KM <= radiusKm + cells.reachKm[k];
}

function bordered(kind, description, outline) {
  outline.cap ??= capOf(outline);
  const { middle, radiusKm: capKm } = outline.cap;
  return {
    kind,
    description,
    radiusKm: outline.radiusKm,
    middle: null,
    rings: () => outline.areas.flat().map((ring) => [...ring, ring[0]].map(([lat, lon]) => [lon, lat])),
    overlaps: (cells, k) =>
      isInBand(middle[0], capKm, cells, k) &&
      greatCircleKm(...middle, cells.lat[k], cells.lon[k]) <= capKm + cells.reachKm[k] &&
      isWithin(outline, cells.lat[k], cells.lon[k], cells.reachKm[k]),
  };
}

const outlineOf = new WeakMap();

function polygonOutline(geometry) {
  if (!outlineOf.has(geometry)) {
    const several = geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates;
    const areas = several.map((area) =>
      area.map((ring, number) => turned(ring.slice(0, -1).map(([lon, lat]) => [lat, lon]), number === 0)),
    );
    outlineOf.set(geometry, makeOutline(areas));
  }
  return outlineOf.get(geometry);
}

function turned(ring, clockwise) {
  return isClockwise(ring) === clockwise ? ring : ring.reverse();
}

/** As Python writes %g. */
function short(number) {
  return String(Number(number.toPrecision(6)));
}
