// A place from what people paste: a point, a cell, a country, GeoJSON.

import { cellPath, cellToken, parseCell } from "./cells.js";
import { findCountries } from "./countries.js";
import { borderProblem, DEFAULT_RADIUS_KM } from "./places.js";
import { words } from "./words.js";

const MOST_CORNERS = 100000;

export function circle(lat, lon, radiusKm = DEFAULT_RADIUS_KM) {
  const turned = lon - 360 * Math.floor((lon + 180) / 360);
  const round = (value) => Math.round(value * 1e4) / 1e4;
  return {
    kind: "circle",
    latitude_deg: round(lat),
    longitude_deg: round(turned),
    radius_km: radiusKm,
  };
}

export function cellPlace(id) {
  return { kind: "cell", cell: cellPath(id), token: cellToken(id) };
}

/** One place of several; of one, itself; of none, null. */
export function unionOf(places) {
  return places.length > 1 ? { kind: "union", places } : (places[0] ?? null);
}

/** A polygon place of corners [longitude, latitude]. */
export function polygonPlace(corners, name) {
  return {
    kind: "polygon",
    name,
    geometry: { type: "MultiPolygon", coordinates: [[[...corners, corners[0]]]] },
  };
}

/** Why a polygon is no place, in words; null where it is one. */
export function borderWrong(polygon) {
  const problem = borderProblem(polygon);
  return problem && words.border[problem.kind](problem.lat, problem.lon);
}

/** Read a point as people type it: {lat, lon}, or {wrong} with what to do. */
export function readPoint(text) {
  const parts = text.trim().split(/[,;\s]+/).filter(Boolean).map(Number);
  if (parts.length !== 2 || parts.some(Number.isNaN)) return { wrong: words.pointWrong };
  const [lat, lon] = parts;
  if (Math.abs(lat) <= 90 && Math.abs(lon) <= 180) return { lat, lon };
  const swapped = Math.abs(lon) <= 90 && Math.abs(lat) <= 180;
  return { wrong: words.pointWrong + (swapped ? ` ${words.pointSwapped(lat, lon)}` : "") };
}

/** Read anything: {place}, or {wrong}. */
export function readText(text, radiusKm) {
  const trimmed = text.trim();
  if (trimmed.startsWith("{")) return readGeojson(trimmed);
  const point = readPoint(trimmed);
  if (!point.wrong) return { place: circle(point.lat, point.lon, radiusKm) };
  const [country] = findCountries(trimmed, 1);
  if (country) return { place: { kind: "country", country: country.code, name: country.name } };
  const cell = parseCell(trimmed);
  if (cell) return { place: cellPlace(cell) };
  return { wrong: /^[-\d.,;\s]+$/.test(trimmed) ? point.wrong : words.textWrong };
}

function readGeojson(text) {
  let data;
  try {
    data = JSON.parse(text);
  } catch {
    return { wrong: words.textWrong };
  }
  const features = data.type === "FeatureCollection" ? (data.features ?? []) : [data];
  const places = features.map(polygonFrom);
  if (!places.length || places.includes(null)) return { wrong: words.textWrong };
  const corners = places.flatMap((one) => one.geometry.coordinates.flat(2)).length;
  if (corners > MOST_CORNERS) return { wrong: words.textTooLarge };
  const wrong = places.map(borderWrong).find(Boolean);
  if (wrong) return { wrong };
  return { place: unionOf(places) };
}

function polygonFrom(feature) {
  const geometry = feature?.type === "Feature" ? feature.geometry : feature;
  const name = feature?.properties?.name ?? words.areaName;
  const several = { Polygon: [geometry?.coordinates], MultiPolygon: geometry?.coordinates }[geometry?.type];
  if (!Array.isArray(several) || !several.every(Array.isArray)) return null;
  const areas = several.map((area) => area.map(ringFrom));
  if (!areas.flat().length || areas.flat().includes(null)) return null;
  return { kind: "polygon", name: String(name), geometry: { type: "MultiPolygon", coordinates: areas } };
}

function ringFrom(ring) {
  if (!Array.isArray(ring)) return null;
  const corners = ring.map((corner) => (Array.isArray(corner) ? corner.slice(0, 2).map(Number) : []));
  const good = corners.every(
    ([lon, lat]) => Math.abs(lat) <= 90 && Math.abs(lon) <= 360,
  );
  if (!good || corners.length < 3) return null;
  const [first, last] = [corners[0], corners[corners.length - 1]];
  return first[0] === last[0] && first[1] === last[1] ? corners : [...corners, first];
}
