// S2 cells: homerange/geo/cells.py, in the browser. An id is a BigInt of 64 bits.

import { EARTH_RADIUS_KM, greatCircleKm, toLatLon, toXyz } from "./sphere.js";

const MEAN_EDGE_OF_A_FACE_RAD = 1.459213746386106;
const QUADRANT = [
  [0, 1, 3, 2],
  [0, 2, 3, 1],
  [3, 2, 0, 1],
  [3, 1, 0, 2],
];
const TURN = [1, 0, 0, 3];
const AXES = [
  [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
  [[-1, 0, 0], [0, 0, 1], [0, 1, 0]],
  [[-1, 0, 0], [0, -1, 0], [0, 0, 1]],
  [[0, 0, -1], [0, -1, 0], [-1, 0, 0]],
  [[0, 0, -1], [1, 0, 0], [0, -1, 0]],
  [[0, 1, 0], [1, 0, 0], [0, 0, -1]],
];
const CORNERS = [[0, 0], [1, 0], [1, 1], [0, 1]];
const LAST_BITS = 0x1555555555555555n;

/** The cell of a level that holds a place in degrees. */
export function cellAt(lat, lon, level) {
  const [face, s, t] = toFace(toXyz(lat, lon));
  const side = 2 ** level;
  const i = Math.min(Math.max(Math.floor(s * side), 0), side - 1);
  const j = Math.min(Math.max(Math.floor(t * side), 0), side - 1);
  let id = BigInt(face);
  let orientation = face & 1;
  for (let bit = level - 1; bit >= 0; bit -= 1) {
    const quadrant = 2 * (Math.floor(i / 2 ** bit) % 2) + (Math.floor(j / 2 ** bit) % 2);
    const digit = QUADRANT[orientation].indexOf(quadrant);
    id = (id << 2n) | BigInt(digit);
    orientation ^= TURN[digit];
  }
  return ((id << 1n) | 1n) << BigInt(60 - 2 * level);
}

export function isCell(id) {
  return id > 0n && id >> 61n < 6n && (id & -id & LAST_BITS) !== 0n;
}

export function cellLevel(id) {
  let level = 30;
  for (let last = id & -id; last > 1n; last >>= 2n) level -= 1;
  return level;
}

export function cellCentre(id) {
  const [face, i, j, level] = unfold(id);
  const side = 2 ** level;
  return toLatLon(fromFace(face, (i + 0.5) / side, (j + 0.5) / side));
}

/** Corners anticlockwise, [latitude, longitude] each. */
export function cellCorners(id) {
  const [face, i, j, level] = unfold(id);
  const side = 2 ** level;
  return CORNERS.map(([a, b]) => toLatLon(fromFace(face, (i + a) / side, (j + b) / side)));
}

/** From the centre to the farthest corner, in km. */
export function cellReachKm(id) {
  const [lat, lon] = cellCentre(id);
  return Math.max(...cellCorners(id).map((corner) => greatCircleKm(lat, lon, ...corner)));
}

export function contains(parent, child) {
  const most = (parent & -parent) - 1n;
  return parent - most <= child && child <= parent + most;
}

export function meanEdgeKm(level) {
  return (MEAN_EDGE_OF_A_FACE_RAD * EARTH_RADIUS_KM) / 2 ** level;
}

export function cellToken(id) {
  return id.toString(16).padStart(16, "0").replace(/0+$/, "");
}

export function cellPath(id) {
  const level = cellLevel(id);
  let digits = "";
  for (let k = 1; k <= level; k += 1) digits += ((id >> BigInt(61 - 2 * k)) & 3n).toString();
  return `${id >> 61n}/${digits}`;
}

/** Read a token (4c) or a path (2/1); null where the text is neither. */
export function parseCell(text) {
  const name = text.trim().toLowerCase();
  const path = /^([0-5])\/([0-3]{0,30})$/.exec(name);
  let id = 0n;
  if (path) {
    const position = [...path[2]].reduce((sum, d) => (sum << 2n) | BigInt(d), BigInt(path[1]));
    id = ((position << 1n) | 1n) << BigInt(60 - 2 * path[2].length);
  } else if (/^[0-9a-f]{1,16}$/.test(name)) {
    id = BigInt(`0x${name.padEnd(16, "0")}`);
  }
  return isCell(id) ? id : null;
}

/** The outline of a cell for drawing: its edges in pieces, [longitude, latitude], closed. */
export function cellRing(id, pieces = 8) {
  const [face, i, j, level] = unfold(id);
  const side = 2 ** level;
  const ring = [];
  for (let k = 0; k <= 4 * pieces; k += 1) {
    const [a, b] = CORNERS[Math.floor(k / pieces) % 4];
    const [c, d] = CORNERS[(Math.floor(k / pieces) + 1) % 4];
    const share = (k % pieces) / pieces;
    const s = (i + a + share * (c - a)) / side;
    const t = (j + b + share * (d - b)) / side;
    const [lat, lon] = toLatLon(fromFace(face, s, t));
    const before = ring.length ? ring[ring.length - 1][0] : lon;
    ring.push([lon - 360 * Math.round((lon - before) / 360), lat]);
  }
  return ring;
}

function toFace(xyz) {
  let axis = 0;
  for (let k = 1; k < 3; k += 1) if (Math.abs(xyz[k]) >= Math.abs(xyz[axis])) axis = k;
  const face = axis + (xyz[axis] < 0 ? 3 : 0);
  const [u, v, w] = AXES[face].map((row) => row[0] * xyz[0] + row[1] * xyz[1] + row[2] * xyz[2]);
  return [face, toUnit(u / w), toUnit(v / w)];
}

function toUnit(u) {
  const half = 0.5 * Math.sqrt(1 + 3 * Math.abs(u));
  return u >= 0 ? half : 1 - half;
}

function fromFace(face, s, t) {
  const [first, second, normal] = AXES[face];
  const u = fromUnit(s);
  const v = fromUnit(t);
  return [0, 1, 2].map((k) => u * first[k] + v * second[k] + normal[k]);
}

function fromUnit(s) {
  return (s >= 0.5 ? 4 * s ** 2 - 1 : 1 - 4 * (1 - s) ** 2) / 3;
}

/** Face, i and j counted in cells of its own level, and level. */
function unfold(id) {
  const level = cellLevel(id);
  const high = Number(id >> 32n);
  const face = high >>> 29;
  let orientation = face & 1;
  let i = 0;
  let j = 0;
  for (let k = 1; k <= level; k += 1) {
    const digit = k <= 14 ? (high >>> (29 - 2 * k)) & 3 : Number((id >> BigInt(61 - 2 * k)) & 3n);
    const quadrant = QUADRANT[orientation][digit];
    i = 2 * i + (quadrant >> 1);
    j = 2 * j + (quadrant & 1);
    orientation ^= TURN[digit];
  }
  return [face, i, j, level];
}
