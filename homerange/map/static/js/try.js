// Try it: photos, and what this place's model and the whole world answer, side by side.

import { loadModel, logitsOf, ranked } from "./answers.js";
import { make } from "./dom.js";
import { dropZone } from "./tools.js";
import { words } from "./words.js";

const SHOWN = 3;

/** Make the panel; returns what fills it with the list of a place. */
export function makeTryPanel(element, world) {
  if (!world.runs_photos) {
    element.append(make("p", {}, words.tryNone));
    return () => {};
  }
  const every = world.labels.map((_, c) => c);
  const status = make("p", { role: "status" });
  const results = make("ul", { class: "tried" });
  const tried = [];
  let table = null;
  let queue = Promise.resolve();
  element.append(
    dropZone("try-photos", words.tryHelp, words.tryChoose, (files) => {
      queue = queue.then(() => run([...files]));
    }),
    status,
    results,
    make("p", { class: "help" }, words.tryNote),
  );

  async function run(files) {
    status.textContent = words.tryLoading;
    try {
      await loadModel();
    } catch (error) {
      status.textContent = words.tryFailed(error.message);
      return;
    }
    let ms = 0;
    let done = 0;
    for (const file of files) {
      status.textContent = words.tryRunning(done, files.length);
      const start = performance.now();
      try {
        tried.unshift({ file, url: URL.createObjectURL(file), logits: await logitsOf(file, world) });
        ms += performance.now() - start;
        done += 1;
      } catch {
        tried.unshift({ file, url: null, logits: null });
      }
      redraw();
    }
    status.textContent = done ? `${words.tryRunning(done, files.length)} · ${words.tryTime(ms / done)}` : "";
  }

  function redraw() {
    results.replaceChildren(...tried.map((one) => row(one, table)));
  }

  function row({ file, url, logits }) {
    if (!logits) return make("li", {}, words.tryBroken(file.name));
    return make(
      "li",
      { "data-photo": file.name },
      make("img", { src: url, alt: file.name }),
      make(
        "div",
        { class: "answers" },
        table?.species.length ? answer(words.tryHere, ranked(logits, table.classes)) : make("p", { class: "help" }, words.tryNoPlace),
        answer(words.tryWorld, ranked(logits, every)),
      ),
    );
  }

  function answer(title, found) {
    return make(
      "div",
      {},
      make("h4", {}, title),
      make(
        "ol",
        {},
        found.slice(0, SHOWN).map(({ c, probability }) =>
          make(
            "li",
            { "data-class": c, "data-probability": probability.toFixed(6) },
            make("span", {}, world.common_names[c] || make("em", {}, world.labels[c])),
            make("b", {}, words.percent(probability)),
            make("i", { style: `width:${(100 * probability).toFixed(1)}%`, "aria-hidden": "true" }),
          ),
        ),
      ),
    );
  }

  return function fill(next) {
    table = next;
    redraw();
  };
}
