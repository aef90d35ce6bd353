// Size against accuracy, each lever apart.

import { make, saveSvg, button } from "./dom.js";
import { MEASURED_FROM, packageBytes, wilson } from "./evidence.js";
import { dropOrder, dropped, useOf } from "./routing.js";
import { choose, chosen } from "./state.js";
import { words } from "./words.js";

const WIDTH = 400;

/** Make the panel; returns what fills it. `routing` may be a promise, or null without experts. */
export function makeLeversPanel(element, world, routing) {
  const sizes = make("section", {});
  const accuracy = make("section", {});
  const experts = make("section", {});
  element.append(sizes, accuracy, experts, make("p", { class: "help" }, words.leversNote));

  return function fill(table, judged) {
    fillSizes(sizes, world, table, {});
    fillAccuracy(accuracy, judged);
    if (!world.chunks.includes("routing")) {
      experts.replaceChildren(make("h3", {}, words.expertsTitle), make("p", { class: "help" }, words.expertsNone));
      return;
    }
    routing().then((chunk) => fillExperts(experts, sizes, world, table, chunk));
  };
}

function fillSizes(element, world, table, droppedByLayer) {
  const all = world.sizes.world_bytes;
  const head = packageBytes(world, table.classes.length);
  const number = Object.values(droppedByLayer).reduce((sum, n) => sum + n, 0);
  const rows = [
    [words.sizeWorld, all],
    [words.sizeHead, head],
  ];
  if (number) rows.push([words.sizeExperts(number), packageBytes(world, table.classes.length, droppedByLayer)]);
  element.replaceChildren(
    make("h3", {}, words.sizeTitle),
    make(
      "dl",
      { class: "bars-list" },
      rows.flatMap(([label, bytes], k) => [
        make("dt", {}, label),
        make("dd", {}, bar(bytes / all, k), make("span", {}, words.size(bytes))),
      ]),
    ),
  );
}

function bar(share, k) {
  return make(
    "svg",
    { viewBox: "0 0 100 10", preserveAspectRatio: "none", class: "bar", "aria-hidden": "true" },
    make("rect", { width: 100, height: 10, class: "track" }),
    make("rect", { width: Math.max(100 * share, 0.5), height: 10, class: k ? "own" : "whole" }),
  );
}

function fillAccuracy(element, judged) {
  const { photos, offList, unsure } = judged;
  const rows = [
    [words.accuracyWorld, judged.world, "whole"],
    [words.accuracyPlace, judged.package, "own"],
  ];
  const content =
    photos < MEASURED_FROM
      ? [make("p", {}, words.accuracyFew)]
      : [
          make(
            "dl",
            { class: "bars-list" },
            rows.flatMap(([label, right, kind]) => [
              make("dt", {}, label),
              make("dd", {}, interval(right, photos, kind), make("span", {}, words.share(right, photos, wilson(right, photos)))),
            ]),
          ),
        ];
  element.replaceChildren(
    make("h3", {}, words.accuracyTitle),
    ...content,
    make("p", { class: "help" }, words.accuracyHelp(photos, offList), unsure ? ` ${words.accuracyUnsure(unsure)}` : ""),
  );
}

function interval(right, photos, kind) {
  const [low, high] = wilson(right, photos).map((share) => 100 * share);
  const at = (100 * right) / photos;
  return make(
    "svg",
    { viewBox: "0 0 100 10", preserveAspectRatio: "none", class: "bar", "aria-hidden": "true" },
    make("rect", { width: 100, height: 10, class: "track" }),
    make("rect", { x: low, width: high - low, height: 10, class: `${kind} pale` }),
    make("rect", { x: Math.max(at - 0.6, 0), width: 1.2, height: 10, class: kind }),
  );
}

function fillExperts(element, sizes, world, table, routing) {
  const use = useOf(routing, table.classes);
  const order = dropOrder(routing, use, world.drop_rule);
  const all = routing.layers.reduce((sum, { experts }) => sum + experts, 0);
  const said = make("output", { for: "dropped" });
  const chart = make("div", {});
  const slider = make("input", {
    type: "range",
    id: "dropped",
    min: 0,
    max: order.length,
    value: Math.min(chosen.dropped, order.length),
    input: () => show(Number(slider.value)),
    change: () => choose({ dropped: Number(slider.value) }),
  });
  const curve = riseCurve(order, use);
  function show(n) {
    const now = dropped(order, use, n);
    const saved = packageBytes(world, table.classes.length) - packageBytes(world, table.classes.length, now.byLayer);
    said.textContent = `${words.expertsNow(n, all)}: ${words.expertsSaves(words.size(saved), now.rise)}`;
    slider.setAttribute("aria-valuetext", said.textContent);
    chart.replaceChildren(drawCurve(curve, n));
    fillSizes(sizes, world, table, now.byLayer);
  }
  show(Number(slider.value));
  element.replaceChildren(
    make("h3", {}, words.expertsTitle),
    make("label", { for: "dropped" }, words.expertsLabel),
    slider,
    said,
    chart,
    make("p", { class: "help" }, words.expertsHelp),
    button(words.saveSvg, () => saveSvg(chart.firstChild, "experts.svg"), { class: "quiet" }),
  );
}

/** The rise of the loss of a photo after each drop. */
function riseCurve(order, use) {
  let sum = 0;
  return [0, ...order.map(({ k }) => (sum += use.rise[k]))].map((rise) => (use.photos ? rise / use.photos : 0));
}

function drawCurve(curve, n) {
  const height = 120;
  const low = Math.min(0, ...curve);
  const high = Math.max(...curve, low + 1e-9);
  const x = (k) => 40 + ((WIDTH - 50) * k) / (curve.length - 1 || 1);
  const y = (rise) => 10 + ((height - 30) * (high - rise)) / (high - low);
  const points = curve.map((rise, k) => `${x(k).toFixed(1)},${y(rise).toFixed(1)}`).join(" ");
  return make(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${height}`, class: "chart", role: "img", "aria-label": words.expertsHelp },
    make("line", { x1: 40, x2: WIDTH - 10, y1: y(0), y2: y(0), class: "axis" }),
    make("text", { x: 36, y: y(0) + 4, class: "tick end" }, "0"),
    make("text", { x: 36, y: y(high) + 4, class: "tick end" }, high.toPrecision(2)),
    make("text", { x: 40, y: height - 4, class: "tick" }, "0"),
    make("text", { x: WIDTH - 10, y: height - 4, class: "tick end" }, String(curve.length - 1)),
    make("polyline", { points, class: "line" }),
    make("circle", { cx: x(n), cy: y(curve[n]), r: 5, class: "dot" }),
  );
}
