// The page: the map and the forms beside it, and what follows from a place.

import { makeBuildSheet } from "./build.js";
import { measureCells, describe } from "./places.js";
import { loadChunk } from "./chunks.js";
import { readCountries } from "./countries.js";
import { button, make } from "./dom.js";
import { judge } from "./evidence.js";
import { makeInsidePanel } from "./inside.js";
import { makeLeversPanel } from "./levers.js";
import { makeListPanel } from "./list.js";
import { colourMap, drawPlace, drawRange, lookAt, makeMap } from "./map.js";
import { makeMarker } from "./markers.js";
import { rangeOf, saveRange } from "./range.js";
import { circle } from "./read_place.js";
import { speciesAt } from "./species.js";
import { choose, chosen, whenChosen } from "./state.js";
import { makeTabs } from "./tabs.js";
import { makeThemeField, themeNow } from "./theme.js";
import { areaTool, cellTool, countryTool, photosTool, pointTool, ringsOf, textTool } from "./tools.js";
import { makeTryPanel } from "./try.js";
import { words } from "./words.js";

const EXAMPLES = {
  kenya: circle(-1.4, 36.8),
  fiji: {
    kind: "polygon",
    name: "Fiji",
    geometry: { type: "MultiPolygon", coordinates: [[[[176.5, -19.5], [181.5, -19.5], [181.5, -15.5], [176.5, -15.5], [176.5, -19.5]]]] },
  },
  ecuador: { kind: "country", country: "ECU", name: "Ecuador" },
};

async function start() {
  document.title = words.title;
  document.documentElement.lang = words.language;
  const [world, shapes] = await Promise.all([loadChunk("world"), loadChunk("shapes")]);
  readCountries(shapes.text);
  const page = layOut(world);
  let mapDrawn;
  const drawing = new Promise((resolve) => (mapDrawn = resolve));
  const map = makeMap(page.map, themeNow(), mapDrawn);
  const onMap = (draw) => map && drawing.then(draw);
  page.theme.append(makeThemeField((theme) => onMap(() => colourMap(map, theme))));
  const tools = openTools(page, map, onMap);
  const read = { records: once(loadRecords), evidence: once(loadEvidence), routing: once(() => loadChunk("routing")) };
  const show = makeResults(page, map, world, read);
  let marker = null;
  whenChosen((names) => {
    if (names.includes("place")) {
      tools.show(chosen.place);
      onMap(() => drawPlace(map, ringsOf(chosen.place), { look: chosen.look }));
      marker?.remove();
      marker = map && chosen.place?.kind === "circle" ? centreMarker(map) : null;
    }
    show(names);
  });
  reached("page");
  onMap(() => {
    reached("map");
    read.records().then(read.evidence); // so that the first click finds them
  });
}

/** Say how far the page is: to the style sheet, and to whoever measures. */
function reached(stage) {
  document.documentElement.dataset.ready = stage;
  performance.mark(stage);
}

function once(load) {
  let loading = null;
  return () => (loading ??= load());
}

async function loadRecords() {
  const records = await loadChunk("records");
  records.cells = measureCells(records.cell);
  return records;
}

async function loadEvidence() {
  const evidence = await loadChunk("evidence");
  evidence.cells = measureCells(evidence.cell);
  return evidence;
}

/** The frame of the page, from top to bottom. */
function layOut(world) {
  const map = make("div", { id: "map", role: "region", "aria-label": words.mapLabel });
  const theme = make("div", { class: "theme" });
  const where = make("section", { class: "where", "aria-label": words.where });
  const result = make("section", { class: "result" });
  const panel = make(
    "main",
    { id: "panel", tabindex: -1 },
    make(
      "header",
      {},
      logo(),
      make("div", {}, make("h1", {}, "homerange"), make("p", {}, words.about(world))),
      theme,
    ),
    where,
    result,
  );
  document.body.append(make("a", { href: "#panel", class: "skip" }, words.skip), map, panel);
  return { map, theme, where, result, panel };
}

function logo() {
  return make(
    "svg",
    { viewBox: "0 0 32 32", class: "logo", "aria-hidden": "true" },
    make("path", { d: "M6 19c-3-7 3-15 10-15s13 5 11 12-4 6-6 10-11 3-15-7z", class: "range" }),
    make("circle", { cx: 16, cy: 15, r: 4, class: "home" }),
  );
}

const TOOL_ICONS = {
  point: "M12 21c5-6 7-9 7-12a7 7 0 1 0-14 0c0 3 2 6 7 12zM12 9h.01",
  area: "M5 8l7-4 7 5-2 9-9 2z",
  country: "M5 21V4h11l-2 4 2 4H5",
  cell: "M4 4h16v16H4zM12 4v16M4 12h16",
  text: "M8 4h8v3H8zM6 5H5v15h14V5h-1M9 12h6M9 16h4",
  photos: "M4 7h4l2-3h4l2 3h4v12H4zM12 16a3 3 0 1 0 0-6 3 3 0 0 0 0 6z",
};

/** The tools in tabs; what is clicked on the map goes to the open one. */
function openTools(page, map, onMap) {
  const set = (place, { look = false } = {}) => choose({ look, place, include: [], exclude: [], dropped: 0 });
  const tools = {
    point: pointTool(set),
    area: areaTool(set, map),
    country: countryTool(set),
    cell: cellTool(set, map),
    text: textTool(set),
    photos: photosTool(set),
  };
  let now = tools.point;
  const labels = Object.keys(tools).map((key) => [key, [toolIcon(TOOL_ICONS[key]), words.tools[key]]]);
  const tabs = makeTabs(labels, words.where, (key) => {
    if (now !== tools[key]) now.leave?.();
    now = tools[key];
    if (map) map.getCanvas().style.cursor = now.click ? "crosshair" : "";
  });
  for (const [key, tool] of Object.entries(tools)) tabs.panels[key].append(tool.form);
  page.where.append(make("h2", {}, words.where), tabs.list, ...Object.values(tabs.panels));
  tabs.open("point");
  map?.on("click", (event) => now.click?.(event.lngLat, event.point));
  map?.on("dblclick", () => now.doubleClick?.());
  map?.on("mousemove", (event) => onMap(() => now.move?.(event.lngLat)));
  map?.getContainer().addEventListener("keydown", (event) => now.key?.(event));
  return { show: (place) => Object.values(tools).forEach((tool) => tool.show?.(place)) };
}

function toolIcon(path) {
  return make("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, make("path", { d: path }));
}

function centreMarker(map) {
  const { latitude_deg: lat, longitude_deg: lon } = chosen.place;
  return makeMarker(map, [lon, lat], words.centre, ([lng, at]) => {
    choose({ look: false, place: circle(Math.max(-90, Math.min(90, at)), lng, chosen.place.radius_km) });
    map.getContainer().querySelector(".corner")?.focus();
  });
}

/** What follows from a place: the list, the levers, the inside, and the way home. */
function makeResults(page, map, world, read) {
  const empty = emptyState();
  const title = make("h2", { class: "place" });
  const tabs = makeTabs(Object.entries(words.tabs), words.speciesCount(0));
  const content = make("div", { hidden: true }, title, tabs.list, Object.values(tabs.panels));
  const range = makeRangeLegend(map, world, read);
  const fillList = makeListPanel(tabs.panels.species, world, range.show);
  const fillLevers = makeLeversPanel(tabs.panels.accuracy, world, read.routing);
  const fillInside = makeInsidePanel(tabs.panels.inside, world, read.routing);
  const fillTry = makeTryPanel(tabs.panels.try, world);
  const sheet = makeBuildSheet(world);
  tabs.open("species");
  sheet.fill(null);
  page.result.append(empty, content, range.element);
  page.panel.append(sheet.bar);
  let number = 0;
  return async function show(names) {
    const own = (number += 1);
    const { place } = chosen;
    empty.hidden = Boolean(place);
    content.hidden = !place;
    if (!place) return sheet.fill(null);
    performance.mark("chosen");
    title.textContent = describe(place);
    const records = await read.records();
    if (own !== number) return;
    const table = speciesAt(world, records, place, chosen.include, chosen.exclude);
    sheet.fill(table);
    if (names.every((name) => name === "dropped")) return;
    fillInside(table);
    if (names.every((name) => name === "pinned")) return;
    const fillSureness = fillList(table);
    document.documentElement.dataset.listed = String(table.species.length);
    performance.mark("list");
    fillTry(table);
    const evidence = await read.evidence();
    if (own !== number) return;
    const judged = judge(world, evidence, place, table);
    fillSureness(judged);
    fillLevers(table, judged);
    document.documentElement.dataset.judged = String(judged.photos);
  };
}

function emptyState() {
  const look = (place) => choose({ look: true, place, include: [], exclude: [], dropped: 0 });
  return make(
    "div",
    { class: "empty" },
    make("p", {}, words.empty),
    make("p", { class: "help" }, words.emptyHint),
    make(
      "div",
      { class: "row" },
      Object.entries(EXAMPLES).map(([key, place]) => button(words.examples[key], () => look(place), { class: "quiet", "data-example": key })),
    ),
  );
}

/** The range of a species on the map, and the box that says what is seen. */
function makeRangeLegend(map, world, read) {
  const element = make("div", { class: "range-box", hidden: true, role: "status" });
  function hide() {
    element.hidden = true;
    if (map) drawRange(map, []);
  }
  async function show(c) {
    const name = world.common_names[c] || world.labels[c];
    const cells = rangeOf(world, await read.records(), c);
    const save = cells && button(words.rangeSave, () => saveRange(world.labels[c], cells), { class: "quiet" });
    element.replaceChildren(
      ...[
        make("p", {}, make("strong", {}, cells ? words.rangeTitle(name) : words.rangeWithheld(name))),
        cells && make("p", { class: "help" }, words.rangeHelp),
        make("div", { class: "row" }, [save, button(words.rangeHide, hide, { class: "quiet" })].filter(Boolean)),
      ].filter(Boolean),
    );
    element.hidden = false;
    if (!map) return;
    drawRange(map, cells ?? []);
    if (cells?.length) lookAt(map, cells.map(({ ring }) => ring));
  }
  return { element, show };
}

start().catch((error) => {
  document.body.append(make("p", { role: "alert", class: "failed" }, words.failed(error.message)));
  throw error;
});
