// The species of the place: how many, how sure, which and why; add and strike by hand.

import { MEASURED_FROM } from "./evidence.js";
import { button, icon, make } from "./dom.js";
import { FEW_RECORDS } from "./species.js";
import { choose, chosen } from "./state.js";
import { words } from "./words.js";

const MANY_RECORDS = 500;
const SHOWN_AT_FIRST = 120;
const CROSS = "M6 6l12 12M18 6L6 18";
const BACK = "M4 12a8 8 0 1 0 3-6.2M4 4v5h5";
const GLOBE = "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM3 12h18M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18";

/** Make the panel; returns what fills it. */
export function makeListPanel(element, world, showRange) {
  let shownAll = false;
  let typed = "";
  let now = null;
  const rows = make("ul", { class: "species" });
  const more = make("div", {});
  const head = make("div", { class: "head", "aria-live": "polite" });
  const filter = make("input", {
    type: "search",
    id: "filter",
    placeholder: words.filter,
    "aria-label": words.filter,
    input: () => {
      typed = filter.value.toLowerCase();
      fillRows();
    },
  });
  const adder = makeAdder(world);
  element.append(head, make("div", { class: "row tools" }, filter, adder), rows, more);

  function fillRows() {
    const wanted = now.species.filter((row) => fits(row, typed));
    const some = shownAll ? wanted : wanted.slice(0, SHOWN_AT_FIRST);
    rows.replaceChildren(...some.map((row) => speciesRow(row, showRange)), ...now.struck.map(struckRow));
    const all = wanted.length > some.length && button(words.showAll(wanted.length), () => ((shownAll = true), fillRows()));
    more.replaceChildren(...[all, missing(now.missing)].filter(Boolean));
  }

  return function fill(table) {
    now = table;
    shownAll = false;
    head.replaceChildren(...summary(world, table));
    filter.hidden = table.species.length < 8;
    fillRows();
    return (judged) => head.lastChild.append(chip(words.sureAccuracy, accuracyBand(judged), judged.photos));
  };
}

function fits(row, typed) {
  return !typed || row.species.toLowerCase().includes(typed) || row.common_name.toLowerCase().includes(typed);
}

/** How many, and below it how sure; how sure the accuracy is comes later. */
function summary(world, table) {
  const count = table.species.length;
  const known = world.labels.length - world.outcomes.length;
  return [
    make("p", { class: "count" }, make("strong", {}, words.speciesCount(count)), " ", make("span", {}, words.ofWorld(known))),
    count ? null : make("p", {}, words.nothing, " ", words.nothingHint),
    make(
      "ul",
      { class: "sureness" },
      chip(words.sureList, listBand(table), table.records),
    ),
  ].filter(Boolean);
}

function chip(texts, band, value) {
  const [title, more] = texts[band];
  const level = { many: 3, measured: 3, some: 2, own: 2, few: 1, hardly: 1, none: 0 }[band];
  const bars = [1, 2, 3].map((k) => make("i", { class: k <= level ? "on" : "" }));
  return make(
    "li",
    {},
    make("span", { class: "bars", "aria-hidden": "true" }, bars),
    make("span", {}, make("strong", {}, title), ": ", more(value)),
  );
}

function listBand({ records }) {
  if (records === null) return "own";
  if (records >= MANY_RECORDS) return "many";
  return records >= FEW_RECORDS ? "some" : "few";
}

function accuracyBand({ photos }) {
  if (photos >= MEASURED_FROM) return "measured";
  return photos ? "hardly" : "none";
}

function speciesRow(row, showRange) {
  const name = row.common_name || row.species;
  return make(
    "li",
    {},
    pips(row.strength),
    make(
      "div",
      { class: "who" },
      make("span", { class: "name" }, row.common_name ? [row.common_name, " ", make("em", {}, row.species)] : make("em", {}, row.species)),
      make("span", { class: "why" }, row.reason),
    ),
    row.months.some(Boolean) ? months(row.months) : null,
    button(icon(GLOBE), () => showRange(row.class_index), { class: "round", "aria-label": words.range(name), title: words.range(name) }),
    button(icon(CROSS), () => choose({ exclude: [...chosen.exclude, row.class_index], include: chosen.include.filter((c) => c !== row.class_index) }), {
      class: "round",
      "aria-label": words.strike(name),
      title: words.strike(name),
    }),
  );
}

function struckRow(row) {
  const name = row.common_name || row.species;
  return make(
    "li",
    { class: "struck" },
    pips(0),
    make("div", { class: "who" }, make("span", { class: "name" }, make("s", {}, name)), make("span", { class: "why" }, words.struck)),
    button(icon(BACK), () => choose({ exclude: chosen.exclude.filter((c) => c !== row.class_index) }), {
      class: "round",
      "aria-label": words.restore(name),
      title: words.restore(name),
    }),
  );
}

/** Five dots: as many full as the band of records. */
function pips(strength) {
  const dots = [1, 2, 3, 4, 5].map((k) => make("i", { class: k <= strength ? "on" : "" }));
  return make("span", { class: "pips", role: "img", "aria-label": words.strength[strength], title: words.strength[strength] }, dots);
}

/** Twelve small bars: the band of records of each month. */
function months(bands) {
  const label = words.monthsLabel(words.months.filter((_, m) => bands[m]));
  const bars = bands.map((band, m) =>
    make("rect", { x: 4 * m, y: 15 - 3 * band, width: 3, height: Math.max(3 * band, 0.75), class: band ? "on" : "" }),
  );
  return make("svg", { viewBox: "0 0 47 16", class: "months", role: "img", "aria-label": label }, make("title", {}, label), bars);
}

function missing(rows) {
  if (!rows.length) return null;
  return make(
    "details",
    { class: "missing" },
    make("summary", {}, words.missing(rows.length)),
    make("ul", {}, rows.slice(0, 200).map((row) => make("li", {}, make("em", {}, row.species), ` (${row.records_band})`))),
  );
}

/** A field that offers the species of the world by scientific and common name. */
function makeAdder(world) {
  const offered = make("datalist", { id: "all-species" });
  const input = make("input", {
    type: "text",
    id: "add",
    list: "all-species",
    placeholder: words.add,
    "aria-label": words.add,
    autocomplete: "off",
    input: offer,
  });
  const message = make("p", { class: "wrong", role: "alert" });
  const classOf = new Map();
  world.labels.forEach((label, c) => {
    if (world.outcomes.includes(label)) return;
    if (world.common_names[c]) classOf.set(world.common_names[c].toLowerCase(), c);
    classOf.set(label.toLowerCase(), c);
  });
  function offer() {
    const typed = input.value.trim().toLowerCase();
    const near = typed.length < 2 ? [] : [...classOf].filter(([name]) => name.includes(typed)).slice(0, 20);
    offered.replaceChildren(...near.map(([, c]) => make("option", { value: world.labels[c] }, world.common_names[c])));
  }
  function submit(event) {
    event.preventDefault();
    const c = classOf.get(input.value.trim().toLowerCase());
    message.textContent = c === undefined && input.value ? words.addNone : "";
    if (c === undefined) return;
    input.value = "";
    choose({ include: [...new Set([...chosen.include, c])], exclude: chosen.exclude.filter((one) => one !== c) });
  }
  return make("form", { class: "adder", submit }, make("div", { class: "row" }, input, make("button", { "aria-label": words.add }, "+")), offered, message);
}
