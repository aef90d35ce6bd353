// Countries by name, with their land: homerange/geo/countries.py, in the browser.

import { makeOutline, unwrapped } from "./outline.js";

let entries = new Map();

/** Read the lines of the file of countries: a head for each, then its rings. */
export function readCountries(text) {
  entries = new Map();
  let rings = [];
  for (const line of text.trim().split("\n")) {
    if (line.includes("|")) {
      const [code, shortCode, ...names] = line.split("|");
      rings = [];
      entries.set(code, { code, shortCode, names, rings });
    } else {
      rings.push(line);
    }
  }
  return entries;
}

/** The borders of a country, ready to measure with. */
export function countryOutline(code) {
  const entry = entries.get(code);
  entry.outline ??= makeOutline([entry.rings.map(cornersOf)]);
  return entry.outline;
}

/** Countries whose name or code fits what was typed, the nearest first. */
export function findCountries(typed, most = 8) {
  const wanted = plain(typed);
  if (!wanted) return [];
  const found = [];
  for (const { code, shortCode, names } of entries.values()) {
    const said = [...names, code, shortCode].filter(Boolean).map(plain);
    const rank = Math.min(...said.map((one) => fit(one, wanted)));
    if (rank < 9) found.push({ code, name: names[0], rank });
  }
  found.sort((a, b) => a.rank - b.rank || a.name.localeCompare(b.name));
  return found.slice(0, most);
}

/** Every country as GeoJSON, for the map: a polygon for each ring. */
export function countryShapes() {
  const features = [...entries.values()].map(({ code, names, rings }) => ({
    type: "Feature",
    properties: { code, name: names[0] },
    geometry: {
      type: "MultiPolygon",
      coordinates: rings.map((line) => {
        const ring = unwrapped(cornersOf(line)).map(([lat, lon]) => [lon, lat]);
        return [[...ring, ring[0]]];
      }),
    },
  }));
  return { type: "FeatureCollection", features };
}

/** A point for the name of each country: the middle of its largest ring, and how large that is. */
export function countryLabels() {
  const features = [...entries.values()].map(({ names, rings }) => {
    const { middle, size } = rings.map(middleOf).reduce((a, b) => (b.size > a.size ? b : a));
    return {
      type: "Feature",
      properties: { name: names[0], size },
      geometry: { type: "Point", coordinates: middle },
    };
  });
  return { type: "FeatureCollection", features };
}

/** The centre of gravity of a ring on the map, and its size in square degrees. */
function middleOf(line) {
  const ring = unwrapped(cornersOf(line));
  let [double, x, y] = [0, 0, 0];
  ring.forEach(([lat, lon], k) => {
    const [endLat, endLon] = ring[(k + 1) % ring.length];
    const part = lon * endLat - endLon * lat;
    double += part;
    x += (lon + endLon) * part;
    y += (lat + endLat) * part;
  });
  return { middle: [x / (3 * double), y / (3 * double)], size: Math.abs(double / 2) };
}

function fit(said, wanted) {
  if (said === wanted) return 0;
  if (said.startsWith(wanted)) return 1;
  return said.includes(` ${wanted}`) ? 2 : 9;
}

function cornersOf(line) {
  let [lat, lon] = [0, 0];
  return line.split(" ").map((pair) => {
    const comma = pair.indexOf(",");
    lat += Number(pair.slice(0, comma));
    lon += Number(pair.slice(comma + 1));
    return [lat / 100, lon / 100];
  });
}

function plain(text) {
  const letters = text.toLowerCase().replaceAll("’", "'").normalize("NFKD");
  return letters.replaceAll(/[\u0300-\u036f.]/g, "").split(/\s+/).filter(Boolean).join(" ");
}
