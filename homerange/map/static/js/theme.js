// Light, dark, or as the system has it.

import { make } from "./dom.js";
import { words } from "./words.js";

const dark = matchMedia("(prefers-color-scheme: dark)");

/** Make the field that chooses; `changed` is told "light" or "dark". */
export function makeThemeField(changed) {
  const select = make(
    "select",
    { "aria-label": words.theme, change: () => apply(select.value) },
    Object.entries(words.themes).map(([key, text]) => make("option", { value: key }, text)),
  );
  function apply(wanted) {
    if (wanted === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = wanted;
    changed(themeNow());
  }
  dark.addEventListener("change", () => changed(themeNow()));
  return select;
}

export function themeNow() {
  return document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
}
