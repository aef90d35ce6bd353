// Tabs, by mouse and by keyboard.

import { make } from "./dom.js";

const KEYS = { ArrowRight: 1, ArrowLeft: -1 };

/** Make tabs of [key, label] pairs; returns the list of tabs, their panels and how to open one. */
export function makeTabs(pairs, label, opened = () => {}) {
  const panels = {};
  const tabs = pairs.map(([key, text], k) => {
    panels[key] = make("section", { role: "tabpanel", id: `panel-${key}`, "aria-labelledby": `tab-${key}`, tabindex: 0 });
    return make(
      "button",
      { type: "button", role: "tab", id: `tab-${key}`, "aria-controls": `panel-${key}`, click: () => open(key), keydown: (event) => move(event, k) },
      text,
    );
  });
  function open(wanted) {
    pairs.forEach(([key], k) => {
      const isOpen = key === wanted;
      tabs[k].setAttribute("aria-selected", String(isOpen));
      tabs[k].tabIndex = isOpen ? 0 : -1;
      panels[key].hidden = !isOpen;
    });
    opened(wanted);
  }
  function move(event, k) {
    const step = KEYS[event.key];
    if (!step) return;
    event.preventDefault();
    const next = (k + step + tabs.length) % tabs.length;
    tabs[next].focus();
    open(pairs[next][0]);
  }
  return { list: make("div", { role: "tablist", "aria-label": label, class: "tabs" }, tabs), panels, open };
}
