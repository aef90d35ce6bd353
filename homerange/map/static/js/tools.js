// The ways to say where: each tool is a form, and what a click on the map means while it is open.

import { cellAt, cellRing, meanEdgeKm, parseCell } from "./cells.js";
import { findCountries } from "./countries.js";
import { button, make } from "./dom.js";
import { placeOfPhoto } from "./exif.js";
import { drawHover, drawSketch } from "./map.js";
import { makeMarker } from "./markers.js";
import { areasOf } from "./places.js";
import { borderWrong, cellPlace, circle, polygonPlace, readPoint, readText, unionOf } from "./read_place.js";
import { greatCircleKm, nearTurn } from "./sphere.js";
import { chosen } from "./state.js";
import { words } from "./words.js";

const RADII_KM = [5, 10, 25, 50, 100, 200, 300, 500, 1000, 2000];
const NEAR_PX = 12;

/** A point and a radius. */
export function pointTool(set) {
  let radiusKm = 100;
  const input = make("input", { type: "text", id: "point", inputmode: "text", autocomplete: "off", placeholder: "-2.33, 34.83" });
  const message = make("p", { class: "wrong", role: "alert" });
  const shown = make("output", { for: "radius" }, words.km(radiusKm));
  const slider = make("input", { type: "range", id: "radius", min: 0, max: RADII_KM.length - 1, value: 4, input: resize });
  slider.setAttribute("aria-valuetext", words.km(radiusKm));
  function resize() {
    radiusKm = RADII_KM[slider.value];
    shown.textContent = words.km(radiusKm);
    slider.setAttribute("aria-valuetext", words.km(radiusKm));
    if (chosen.place?.kind === "circle") set({ ...chosen.place, radius_km: radiusKm });
  }
  function submit(event) {
    event.preventDefault();
    const point = readPoint(input.value);
    message.textContent = point.wrong ?? "";
    if (!point.wrong) set(circle(point.lat, point.lon, radiusKm), { look: true });
  }
  return {
    form: make(
      "form",
      { submit },
      make("p", { class: "help" }, words.pointHelp),
      make(
        "div",
        { class: "two" },
        make("div", {}, make("label", { for: "point" }, words.pointLabel), make("div", { class: "row" }, input, make("button", {}, words.go))),
        make("div", {}, make("label", { for: "radius" }, words.radius, " ", shown), slider),
      ),
      message,
    ),
    click: ({ lng, lat }) => set(circle(lat, lng, radiusKm)),
    show(place) {
      if (place?.kind !== "circle") return;
      input.value = `${place.latitude_deg}, ${place.longitude_deg}`;
      const k = RADII_KM.indexOf(place.radius_km);
      if (k < 0) return;
      slider.value = k;
      radiusKm = place.radius_km;
      shown.textContent = words.km(radiusKm);
    },
  };
}

/** An area of corners: clicked one by one, each can be moved. */
export function areaTool(set, map) {
  let corners = [];
  let markers = [];
  let closed = false;
  const close = button(words.areaClose, () => finish(), { disabled: true });
  const undo = button(words.areaUndo, () => change(corners.slice(0, -1)), { class: "quiet" });
  const again = button(words.areaStart, () => change([]), { class: "quiet" });
  const message = make("p", { class: "wrong", role: "alert" });
  function change(next) {
    corners = next;
    closed = closed && corners.length > 2;
    redraw();
    take();
  }
  function take() {
    const drawn = closed ? polygonPlace(corners, words.areaName) : null;
    const wrong = drawn && borderWrong(drawn);
    message.textContent = wrong ?? "";
    if (wrong && map) drawSketch(map, [...corners, corners[0]]);
    if (drawn) set(wrong ? null : drawn);
  }
  function finish() {
    if (corners.length < 3) return;
    closed = true;
    redraw();
    take();
  }
  function redraw() {
    markers.forEach((marker) => marker.remove());
    markers = corners.map((corner, k) =>
      makeMarker(map, corner, words.corner(k + 1), (to) => {
        change(corners.with(k, to));
        markers[k].getElement().focus();
      }),
    );
    if (map) drawSketch(map, closed ? [] : corners);
    close.toggleAttribute("disabled", closed || corners.length < 3);
    undo.hidden = again.hidden = !corners.length;
  }
  undo.hidden = again.hidden = true;
  return {
    form: make(
      "div",
      {},
      make("p", { class: "help" }, words.areaHelp),
      make("div", { class: "row" }, close, undo, again),
      message,
    ),
    click({ lng, lat }, point) {
      if (closed) return change(((closed = false), [[lng, lat]]));
      const first = corners.length > 2 ? map.project(corners[0]) : null;
      if (first && Math.hypot(first.x - point.x, first.y - point.y) < NEAR_PX) return finish();
      const turned = corners.length ? nearTurn(lng, corners[corners.length - 1][0]) : lng;
      return change([...corners, [turned, lat]]);
    },
    doubleClick: finish,
    key: (event) => event.key === "Enter" && event.target.tagName !== "BUTTON" && finish(),
    leave() {
      corners = [];
      closed = false;
      message.textContent = "";
      redraw();
    },
  };
}

/** A country by name. */
export function countryTool(set) {
  const list = make("ul", { class: "found", id: "countries", role: "listbox", "aria-label": words.countryLabel });
  const said = make("p", { class: "visually-hidden", "aria-live": "polite" });
  const input = make("input", {
    type: "text",
    id: "country",
    role: "combobox",
    autocomplete: "off",
    "aria-expanded": "false",
    "aria-controls": "countries",
    "aria-autocomplete": "list",
    input: search,
    keydown: move,
  });
  let found = [];
  let at = -1;
  function search() {
    found = findCountries(input.value);
    at = -1;
    said.textContent = input.value && !found.length ? words.countryNone : words.countryFound(found.length);
    redraw();
  }
  function redraw() {
    list.replaceChildren(
      ...found.map((country, k) =>
        make(
          "li",
          { role: "option", id: `country-${k}`, "aria-selected": String(k === at), click: () => take(country) },
          country.name,
          make("small", {}, country.code),
        ),
      ),
    );
    input.setAttribute("aria-expanded", String(found.length > 0));
    input.setAttribute("aria-activedescendant", at >= 0 ? `country-${at}` : "");
  }
  function move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && found.length) {
      event.preventDefault();
      at = (at + step + found.length) % found.length;
      redraw();
    }
    if (event.key === "Enter") {
      event.preventDefault();
      if (found.length) take(found[Math.max(at, 0)]);
    }
    if (event.key === "Escape") {
      found = [];
      redraw();
    }
  }
  function take({ code, name }) {
    input.value = name;
    found = [];
    redraw();
    set({ kind: "country", country: code, name }, { look: true });
  }
  return {
    form: make(
      "div",
      {},
      make("label", { for: "country" }, words.countryLabel),
      input,
      list,
      said,
      make("p", { class: "help" }, words.countryHelp),
    ),
  };
}

/** S2 cells, one or several. */
export function cellTool(set, map) {
  let level = 5;
  let cells = [];
  const shown = make("output", { for: "level" });
  const slider = make("input", { type: "range", id: "level", min: 2, max: 8, value: level, input: resize });
  const input = make("input", { type: "text", id: "cell", autocomplete: "off", placeholder: "2/1" });
  const message = make("p", { class: "wrong", role: "alert" });
  function resize() {
    level = Number(slider.value);
    shown.textContent = words.cellSize(level, meanEdgeKm(level));
    slider.setAttribute("aria-valuetext", shown.textContent);
  }
  function toggle(id, options) {
    cells = cells.includes(id) ? cells.filter((one) => one !== id) : [...cells, id];
    set(unionOf(cells.map(cellPlace)), options);
  }
  function submit(event) {
    event.preventDefault();
    const id = parseCell(input.value);
    message.textContent = id ? "" : words.cellWrong;
    if (id) toggle(id, { look: true });
  }
  resize();
  return {
    form: make(
      "form",
      { submit },
      make("p", { class: "help" }, words.cellHelp),
      make("label", { for: "level" }, words.cellLevel, " ", shown),
      slider,
      make("label", { for: "cell" }, words.cellLabel),
      make("div", { class: "row" }, input, make("button", {}, words.go)),
      message,
    ),
    click: ({ lng, lat }) => toggle(cellAt(lat, lng - 360 * Math.floor((lng + 180) / 360), level)),
    move({ lng, lat }) {
      const ring = cellRing(cellAt(lat, lng - 360 * Math.floor((lng + 180) / 360), level));
      const turn = nearTurn(ring[0][0], lng) - ring[0][0];
      drawHover(map, ring.map(([x, y]) => [x + turn, y]));
    },
    leave() {
      cells = [];
      if (map) drawHover(map, null);
    },
  };
}

/** Whatever people paste. */
export function textTool(set) {
  const input = make("textarea", { id: "text", rows: 4, spellcheck: "false", placeholder: '{"type": "Polygon", …' });
  const message = make("p", { class: "wrong", role: "alert" });
  function submit(event) {
    event.preventDefault();
    const { place, wrong } = readText(input.value);
    message.textContent = wrong ?? "";
    if (place) set(place, { look: true });
  }
  return {
    form: make(
      "form",
      { submit },
      make("label", { for: "text" }, words.textLabel),
      input,
      make("div", { class: "row" }, make("button", {}, words.go)),
      message,
    ),
  };
}

/** Photos that know where they were taken. */
export function photosTool(set) {
  const message = make("p", { role: "status" });
  async function take(files) {
    const places = (await Promise.all([...files].map(placeOfPhoto))).filter(Boolean);
    message.textContent = places.length ? words.photosFound(places.length, files.length) : words.photosNone;
    if (places.length) set(circleAround(places), { look: true });
  }
  return { form: make("div", {}, dropZone("place-photos", words.photosHelp, words.photosChoose, take), message) };
}

/** A field that takes files by dropping, by click and by keyboard. */
export function dropZone(id, help, label, take) {
  const input = make("input", {
    type: "file",
    id,
    accept: "image/*",
    multiple: true,
    class: "visually-hidden",
    change: () => take(input.files),
  });
  const zone = make(
    "div",
    {
      class: "drop",
      dragover: (event) => {
        event.preventDefault();
        zone.classList.add("over");
      },
      dragleave: () => zone.classList.remove("over"),
      drop: (event) => {
        event.preventDefault();
        zone.classList.remove("over");
        take(event.dataTransfer.files);
      },
    },
    make("p", {}, help),
    input,
    make("label", { for: id, class: "as-button" }, label),
  );
  return zone;
}

/** The circle of 100 km, or more, around places. */
function circleAround(places) {
  const lat = places.reduce((sum, one) => sum + one[0], 0) / places.length;
  const lon = places.reduce((sum, one) => sum + nearTurn(one[1], places[0][1]), 0) / places.length;
  const far = Math.max(...places.map((one) => greatCircleKm(lat, lon, ...one)));
  return circle(lat, lon, Math.max(100, Math.ceil(far / 10) * 10 + 10));
}

/** What there is to draw of a place. */
export function ringsOf(place) {
  return place ? areasOf(place).flatMap((area) => area.rings()) : [];
}
