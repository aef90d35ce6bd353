// Areas between borders: homerange/geo/outline.py, in the browser.
// A ring is a list of [latitude, longitude], not closed; longitudes may go on across the dateline.

import { findCrossing } from "./crossings.js";
import { cross, dot, EARTH_RADIUS_KM, greatCircleKm, toLatLon, toXyz } from "./sphere.js";

const LONGEST_PIECE_DEG = 1;
const PIECES_OF_A_BUNDLE = 32;
const HALF_ROUND_KM = Math.PI * EARTH_RADIUS_KM;
const [FORGIVEN_SHARE, FORGIVEN_KM, LEAST_FORGIVEN_KM] = [0.05, 18, 1e-5];

/** Make the outline of areas, each a list of rings: what lies inside an even number is a hole. */
export function makeOutline(areas) {
  const laid = areas.map((area) => area.map(unwrapped));
  return {
    areas: laid,
    edges: laid.map((area) => area.flatMap(edgesOnTheMap)),
    bundles: laid.flat().flatMap(bundlesOf),
    radiusKm: radiusOf(laid),
  };
}

/** Where the rings of an area cross, as findCrossing says it; null without such a place. */
export function crossingIn(outline) {
  const reachKm = Math.max(Math.min(FORGIVEN_SHARE * outline.radiusKm, FORGIVEN_KM), LEAST_FORGIVEN_KM);
  const reachDeg = (180 * reachKm) / HALF_ROUND_KM;
  for (const edges of outline.edges) {
    const found = findCrossing(edges, reachDeg);
    if (found) return found;
  }
  return null;
}

/** Whether a place lies inside an area. */
export function holds(outline, lat, lon) {
  return outline.edges.some((edges) => isInside(edges, lat, lon));
}

/** Whether a place lies inside, or at most so far outside. */
export function isWithin(outline, lat, lon, km) {
  const place = toXyz(lat, lon);
  for (const bundle of outline.bundles) {
    if (greatCircleKm(lat, lon, ...bundle.middle) - bundle.reachKm > km) continue;
    if (bundle.pieces.some((piece) => toArcKm(place, piece) <= km)) return true;
  }
  return holds(outline, lat, lon);
}

/** A circle that holds everything: its middle and its radius in km. */
export function capOf(outline) {
  const pieces = outline.bundles.flatMap((bundle) => bundle.pieces);
  const sum = pieces.reduce((to, { start }) => to.map((x, k) => x + start[k]), [0, 0, 0]);
  const middle = toLatLon(sum);
  let radiusKm = 0;
  for (const { start, end } of pieces) {
    radiusKm = Math.max(
      radiusKm,
      greatCircleKm(...middle, ...toLatLon(start)),
      greatCircleKm(...middle, ...toLatLon(end)),
    );
  }
  return { middle, radiusKm: radiusKm < HALF_ROUND_KM / 2 ? radiusKm : HALF_ROUND_KM };
}

/** Lay a ring out on the map without a jump; one that goes round the Earth is closed at a pole. */
export function unwrapped(ring) {
  const laid = [ring[0]];
  let lon = ring[0][1];
  for (let k = 1; k <= ring.length; k += 1) {
    let step = ring[k % ring.length][1] - ring[k - 1][1];
    if (Math.abs(step) > 180 && Math.abs(step) < 360) step -= 360 * Math.sign(step);
    lon += step;
    if (k < ring.length) laid.push([ring[k][0], lon]);
  }
  const round = lon - ring[0][1];
  if (Math.abs(round) < 180) return laid;
  const mean = laid.reduce((sum, corner) => sum + corner[0], 0) / laid.length;
  const pole = mean >= 0 ? 90 : -90;
  return [...laid, [ring[0][0], lon], [pole, lon], [pole, ring[0][1]]];
}

/** How the corners of a ring run around what it holds on the map. */
export function isClockwise(ring) {
  return signedAreaSr(unwrapped(ring)) > 0;
}

function edgesOnTheMap(ring) {
  const lons = ring.map((corner) => corner[1]);
  const [west, east] = [Math.min(...lons), Math.max(...lons)];
  return [-720, -360, 0, 360, 720]
    .filter((turn) => west + turn <= 180 && east + turn >= -180)
    .flatMap((turn) =>
      ring.map((start, k) => {
        const end = ring[(k + 1) % ring.length];
        return [start[0], start[1] + turn, end[0], end[1] + turn];
      }),
    );
}

/** A line to the east crosses the border an odd time. */
function isInside(edges, lat, lon) {
  let inside = false;
  for (const [startLat, startLon, endLat, endLon] of edges) {
    if (startLat > lat === endLat > lat) continue;
    const slope = (endLon - startLon) / (endLat - startLat);
    if (lon < startLon + (lat - startLat) * slope) inside = !inside;
  }
  return inside;
}

function bundlesOf(ring) {
  const pieces = piecesOf(ring);
  const bundles = [];
  for (let k = 0; k < pieces.length; k += PIECES_OF_A_BUNDLE) {
    const own = pieces.slice(k, k + PIECES_OF_A_BUNDLE);
    const sum = [0, 1, 2].map((axis) =>
      own.reduce((to, { start, end }) => to + start[axis] + end[axis], 0),
    );
    const middle = toLatLon(sum);
    const reachKm = Math.max(
      ...own.flatMap(({ start, end }) => [
        greatCircleKm(...middle, ...toLatLon(start)),
        greatCircleKm(...middle, ...toLatLon(end)),
      ]),
    );
    bundles.push({ pieces: own, middle, reachKm });
  }
  return bundles;
}

/** The edges in pieces of at most a degree, as arcs of great circles. */
function piecesOf(ring) {
  const pieces = [];
  ring.forEach(([lat, lon], k) => {
    const [endLat, endLon] = ring[(k + 1) % ring.length];
    const longest = Math.max(Math.abs(endLat - lat), Math.abs(endLon - lon));
    const count = Math.max(Math.ceil(longest / LONGEST_PIECE_DEG), 1);
    const at = (n) => toXyz(lat + (n / count) * (endLat - lat), lon + (n / count) * (endLon - lon));
    for (let n = 0; n < count; n += 1) {
      const [start, end] = [at(n), at(n + 1)];
      const chord = Math.hypot(...start.map((x, axis) => x - end[axis]));
      if (chord > 1e-9) pieces.push(arcOf(start, end)); // all longitudes are one place at a pole
    }
  });
  return pieces;
}

function arcOf(start, end) {
  const across = cross(start, end);
  const length = Math.hypot(...across);
  const normal = across.map((x) => x / length);
  return { start, end, normal, afterStart: cross(normal, start), beforeEnd: cross(normal, end) };
}

function toArcKm(place, { start, normal, afterStart, beforeEnd, end }) {
  if (dot(place, afterStart) > 0 && dot(place, beforeEnd) < 0) {
    return EARTH_RADIUS_KM * Math.asin(Math.min(Math.abs(dot(place, normal)), 1));
  }
  return Math.min(toPointKm(place, start), toPointKm(place, end));
}

function toPointKm(place, point) {
  const halfChord = Math.sqrt(Math.min(Math.max((1 - dot(place, point)) / 2, 0), 1));
  return 2 * EARTH_RADIUS_KM * Math.asin(halfChord);
}

/** The radius of the circle that has the same area. */
function radiusOf(areas) {
  let sr = 0;
  for (const area of areas) sr += Math.abs(area.reduce((sum, ring) => sum + signedAreaSr(ring), 0));
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.sqrt(Math.min(sr / (4 * Math.PI), 1)));
}

function signedAreaSr(ring) {
  const radians = Math.PI / 180;
  return ring.reduce((sum, [lat, lon], k) => {
    const [endLat, endLon] = ring[(k + 1) % ring.length];
    const half = ((endLat - lat) * radians) / 2;
    const sinc = half === 0 ? 1 : Math.sin(half) / half;
    return sum + Math.sin(lat * radians + half) * sinc * (endLon - lon) * radians;
  }, 0);
}
