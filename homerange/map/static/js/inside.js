// What the experts do here against the whole world, and what two places share.

import { button, make, saveSvg } from "./dom.js";
import { describe } from "./places.js";
import { layersOf, useOf } from "./routing.js";
import { choose, chosen } from "./state.js";
import { words } from "./words.js";

const SIDE = 11;
const GAP = 1;
const IN_A_ROW = 32;
const MOST_TOKENS = 0.9;

/** Make the panel; returns what fills it. */
export function makeInsidePanel(element, world, routing) {
  const body = make("div", {});
  element.append(body);
  if (!world.chunks.includes("routing")) {
    body.append(make("p", {}, words.insideNone));
    return () => {};
  }
  return async function fill(table) {
    const chunk = await routing();
    const every = world.labels.map((_, c) => c);
    const here = sharesOf(chunk, table.classes);
    const all = sharesOf(chunk, every);
    body.replaceChildren(
      make("h3", {}, words.insideTitle),
      make("p", { class: "help" }, words.insideHelp),
      ...(here ? drawn(drawUse(chunk, here, all), "routing.svg") : [make("p", {}, words.insideNothing)]),
      make("h3", {}, words.compareTitle),
      ...comparison(chunk, table, here),
    );
  };
}

function drawn(svg, name) {
  return [svg, button(words.saveSvg, () => saveSvg(svg, name), { class: "quiet" })];
}

/** The share of a layer's tokens that each expert takes; null without tokens. */
function sharesOf(routing, classes) {
  const { tokens } = useOf(routing, classes);
  if (!tokens.some((count) => count > 0)) return null;
  const share = new Float64Array(tokens.length);
  for (const { start, experts } of layersOf(routing)) {
    const own = tokens.subarray(start, start + experts);
    const sum = own.reduce((a, b) => a + b, 0) || 1;
    own.forEach((count, e) => (share[start + e] = count / sum));
  }
  return share;
}

function drawUse(routing, here, all) {
  return grid(routing, (k, layer, e) => {
    const ratio = Math.log2((here[k] + 1e-4) / (all[k] + 1e-4));
    const kind = ratio > 0.5 ? "more" : ratio < -0.5 ? "less" : "alike";
    const strength = Math.min(1, 0.25 + 5 * Math.max(here[k], all[k]) ** 0.7);
    return { kind, strength, label: words.insideExpert(layer, e, here[k], all[k]) };
  });
}

/** Squares, a row or more for each layer. */
function grid(routing, look) {
  const parts = [];
  let y = 0;
  for (const { layer, experts, start } of layersOf(routing)) {
    parts.push(make("text", { x: 0, y: y + SIDE, class: "tick" }, words.insideLayer(layer)));
    y += SIDE + 4;
    for (let e = 0; e < experts; e += 1) {
      const { kind, strength, label } = look(start + e, layer, e);
      const at = { x: (e % IN_A_ROW) * (SIDE + GAP), y: y + Math.floor(e / IN_A_ROW) * (SIDE + GAP) };
      parts.push(
        make("rect", { ...at, width: SIDE, height: SIDE, rx: 2, class: kind, opacity: strength.toFixed(2) }, make("title", {}, label)),
      );
    }
    y += Math.ceil(experts / IN_A_ROW) * (SIDE + GAP) + 8;
  }
  const width = IN_A_ROW * (SIDE + GAP);
  return make("svg", { viewBox: `0 0 ${width} ${y}`, class: "experts", role: "img", "aria-label": words.insideTitle }, parts);
}

function comparison(routing, table, here) {
  const { pinned } = chosen;
  if (!pinned) {
    const keep = () => choose({ pinned: { place: chosen.place, name: describe(chosen.place), table } });
    return [make("p", { class: "help" }, words.pinHelp), button(words.pin, keep)];
  }
  const kept = sharesOf(routing, pinned.table.classes);
  const content = [make("p", {}, words.pinned(pinned.name), " ", button(words.unpin, () => choose({ pinned: null }), { class: "quiet" }))];
  content.push(make("p", {}, words.compareSpecies(...shared(names(pinned.table), names(table)))));
  if (!kept || !here) return [...content, make("p", {}, words.insideNothing)];
  const [keptSet, hereSet] = [busiest(routing, kept), busiest(routing, here)];
  const svg = grid(routing, (k, layer, e) => {
    const kind = keptSet.has(k) ? (hereSet.has(k) ? "both" : "kept") : hereSet.has(k) ? "here" : "neither";
    const said = { both: words.both, kept: words.onlyKept, here: words.onlyHere, neither: words.neither }[kind];
    return { kind, strength: 1, label: `${words.insideLayer(layer)}, ${e}: ${said}` };
  });
  return [
    ...content,
    make("p", {}, words.compareExperts(...shared(keptSet, hereSet))),
    make("ul", { class: "legend" }, ["both", "kept", "here", "neither"].map(legend)),
    ...drawn(svg, "two-places.svg"),
    make("p", { class: "help" }, words.compareHelp),
  ];
}

function legend(kind) {
  const said = { both: words.both, kept: words.onlyKept, here: words.onlyHere, neither: words.neither }[kind];
  const square = make("svg", { viewBox: "0 0 11 11", class: "experts key", "aria-hidden": "true" }, make("rect", { width: 11, height: 11, rx: 2, class: kind }));
  return make("li", {}, square, said);
}

function names(table) {
  return new Set(table.species.map((row) => row.species));
}

/** In both, only in the first, only in the second. */
function shared(first, second) {
  const both = [...first].filter((one) => second.has(one)).length;
  return [both, first.size - both, second.size - both];
}

/** The experts of each layer that together take most of its tokens. */
function busiest(routing, share) {
  const found = new Set();
  for (const { start, experts } of layersOf(routing)) {
    const order = Array.from({ length: experts }, (_, e) => start + e).sort((a, b) => share[b] - share[a]);
    let sum = 0;
    for (const k of order) {
      if (sum >= MOST_TOKENS || !share[k]) break;
      sum += share[k];
      found.add(k);
    }
  }
  return found;
}
