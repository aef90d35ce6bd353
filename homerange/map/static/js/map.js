// The map: countries, the place, a range. MapLibre draws; nothing is fetched.

import { boundsOf } from "./bounds.js";
import { countryLabels, countryShapes } from "./countries.js";
import { make } from "./dom.js";
import { words } from "./words.js";

const NOTHING = { type: "FeatureCollection", features: [] };
const COLOURS = {
  light: {
    water: "#cfe0e4",
    land: "#f6f2e7",
    border: "#d3cbb8",
    label: "#6b6558",
    halo: "#f6f2e7",
    place: "#1f6f54",
    range: ["#f3d9a4", "#e0a458", "#c46f2f", "#96401a", "#5c210c"],
    grid: "#8a6d3b",
  },
  dark: {
    water: "#0e1719",
    land: "#27322e",
    border: "#45524c",
    label: "#a8b5ae",
    halo: "#1b2421",
    place: "#7fd3ad",
    range: ["#5a3b22", "#8f5a2a", "#c4803a", "#e8ae62", "#ffe0a8"],
    grid: "#d0a660",
  },
};

/** Make the map in an element; null where the browser has no WebGL. `whenDrawn` waits for it. */
export function makeMap(element, theme, drawn) {
  let map;
  try {
    map = new maplibregl.Map({
      container: element,
      style: styleOf(COLOURS[theme]),
      center: [20, 8],
      zoom: 1.2,
      minZoom: 0.4,
      maxZoom: 9,
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      fadeDuration: 0,
      locale: { "Map.Title": words.mapLabel },
    });
  } catch {
    element.append(make("p", { class: "no-map" }, words.noMap));
    return null;
  }
  map.once("load", () => {
    addRest(map, COLOURS[theme]);
    drawn();
  });
  map.touchZoomRotate.disableRotation();
  map.doubleClickZoom.disable();
  map.addControl(new maplibregl.NavigationControl({ showCompass: false }), "bottom-left");
  map.addControl(new maplibregl.ScaleControl(), "bottom-left");
  map.addControl(new maplibregl.AttributionControl({ compact: false, customAttribution: words.attribution }), "bottom-right");
  return map;
}

/** Change the colours without drawing anything anew. */
export function colourMap(map, theme) {
  for (const layer of [...baseLayers(COLOURS[theme]), ...restLayers(COLOURS[theme])]) {
    for (const [key, value] of Object.entries(layer.paint)) map.setPaintProperty(layer.id, key, value);
  }
}

/** Draw the outline of a place; look at it where asked. */
export function drawPlace(map, rings, { look = false } = {}) {
  map.getSource("place").setData(polygons(rings));
  if (look && rings.length) lookAt(map, rings);
}

export function lookAt(map, rings) {
  const [west, south, east, north] = boundsOf(rings);
  const padding = Math.min(60, map.getContainer().clientHeight / 6);
  map.fitBounds(
    [
      [west, Math.max(south, -84)],
      [east, Math.min(north, 84)],
    ],
    { padding, maxZoom: 5.2, duration: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 700 },
  );
}

/** Draw cells with their band of records, 1 to 5. */
export function drawRange(map, cells) {
  map.getSource("range").setData({
    type: "FeatureCollection",
    features: cells.map(({ ring, band }) => polygon([ring], { band })),
  });
}

/** Draw lines and dots of what is being drawn. */
export function drawSketch(map, corners) {
  const line = { type: "Feature", properties: {}, geometry: { type: "LineString", coordinates: corners } };
  map.getSource("sketch").setData(corners.length > 1 ? line : NOTHING);
}

export function drawHover(map, ring) {
  map.getSource("hover").setData(ring ? polygon([ring], {}) : NOTHING);
}

function polygons(rings) {
  return { type: "FeatureCollection", features: rings.map((ring) => polygon([ring], {})) };
}

function polygon(coordinates, properties) {
  return { type: "Feature", properties, geometry: { type: "Polygon", coordinates } };
}

/** The least that is a map: it is drawn first, and the rest added to it. */
function styleOf(colour) {
  const land = { type: "geojson", data: countryShapes(), buffer: 16 };
  return { version: 8, sources: { land }, layers: baseLayers(colour) };
}

function addRest(map, colour) {
  for (const name of ["range", "place", "sketch", "hover"]) {
    map.addSource(name, { type: "geojson", data: NOTHING });
  }
  map.addSource("labels", { type: "geojson", data: countryLabels() });
  for (const layer of restLayers(colour)) map.addLayer(layer, layer.id === "range" ? "borders" : undefined);
}

function baseLayers(colour) {
  return [
    { id: "water", type: "background", paint: { "background-color": colour.water } },
    {
      id: "land",
      type: "fill",
      source: "land",
      paint: { "fill-color": colour.land, "fill-antialias": false },
    },
    {
      id: "borders",
      type: "line",
      source: "land",
      paint: { "line-color": colour.border, "line-width": ["interpolate", ["linear"], ["zoom"], 1, 0.5, 6, 1.2] },
    },
  ];
}

function restLayers(colour) {
  return [
    { id: "range", type: "fill", source: "range", paint: rangePaint(colour) },
    {
      id: "place",
      type: "fill",
      source: "place",
      paint: { "fill-color": colour.place, "fill-opacity": 0.2 },
    },
    {
      id: "place-edge",
      type: "line",
      source: "place",
      paint: { "line-color": colour.place, "line-width": 2 },
    },
    {
      id: "sketch",
      type: "line",
      source: "sketch",
      paint: { "line-color": colour.place, "line-width": 2, "line-dasharray": [2, 1.5] },
    },
    {
      id: "hover",
      type: "line",
      source: "hover",
      paint: { "line-color": colour.grid, "line-width": 2 },
    },
    labelLayer(colour),
  ];
}

function rangePaint(colour) {
  const steps = colour.range.slice(1).flatMap((one, k) => [k + 2, one]);
  return {
    "fill-color": ["step", ["get", "band"], colour.range[0], ...steps],
    "fill-opacity": 0.85,
    "fill-antialias": false,
  };
}

/** Names of countries: those that are large enough at each zoom. */
function labelLayer(colour) {
  return {
    id: "labels",
    type: "symbol",
    source: "labels",
    filter: [">", ["get", "size"], ["step", ["zoom"], 700, 1.8, 220, 2.6, 60, 3.5, 12, 4.5, 0]],
    layout: {
      "text-field": ["get", "name"],
      "text-font": ["sans-serif"],
      "text-size": ["interpolate", ["linear"], ["zoom"], 1, 10, 6, 15],
      "text-max-width": 7,
      "symbol-sort-key": ["-", 0, ["get", "size"]],
    },
    paint: { "text-color": colour.label, "text-halo-color": colour.halo, "text-halo-width": 1.2 },
  };
}
