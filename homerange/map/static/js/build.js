// Take it home: the package from the server, where there is one, and the command that makes it.

import { areaFile, getCommand, nameOf, predictCommand } from "./command.js";
import { button, download, make } from "./dom.js";
import { packageBytes } from "./evidence.js";
import { chosen } from "./state.js";
import { words } from "./words.js";

const ASK_AGAIN_MS = 700;

/** Make the sheet that opens from the button; returns what fills it. */
export function makeBuildSheet(world) {
  const title = make("h2", { id: "get-title" }, words.getTitle);
  const body = make("div", {});
  const dialog = make("dialog", { class: "sheet", "aria-labelledby": "get-title" }, title, body);
  dialog.append(make("form", { method: "dialog" }, make("button", { class: "quiet" }, words.close)));
  const size = make("small", {});
  const open = make("button", { type: "button", class: "primary", click: () => (fillSheet(world, body), dialog.showModal()) }, words.get, size);
  document.body.append(dialog);
  return {
    bar: make("div", { class: "get" }, open),
    fill(table) {
      open.disabled = !table?.species.length;
      size.textContent = table?.species.length
        ? words.getSize(words.size(packageBytes(world, table.classes.length)))
        : "";
    },
  };
}

function fillSheet(world, body) {
  const name = nameOf(chosen.place);
  const file = areaFile(chosen.place);
  const command = getCommand(world, chosen, name);
  body.replaceChildren(
    world.api ? builder(world, name) : "",
    make("p", {}, file ? words.commandArea : words.command),
    file ? button(words.saveArea, () => download(`${name}.geojson`, file, "application/geo+json")) : "",
    commandLine(command),
    make("p", {}, words.run),
    commandLine(predictCommand(name)),
  );
}

function commandLine(text) {
  const copy = button(words.copy, async () => {
    await navigator.clipboard.writeText(text);
    copy.textContent = words.copied;
  }, { class: "quiet" });
  return make("div", { class: "command" }, make("code", { tabindex: 0 }, text), navigator.clipboard ? copy : "");
}

/** The button that asks the server, and what it says. */
function builder(world, name) {
  const state = make("p", { role: "status", class: "state" });
  const bar = make("progress", { max: 1, value: 0, "aria-label": words.build });
  const links = make("div", { class: "row" });
  const start = button(words.build, run, { class: "primary" });
  bar.hidden = true;
  async function run() {
    start.disabled = true;
    links.replaceChildren();
    try {
      await follow(await ask("builds", order(world)));
    } catch (error) {
      state.textContent = error.said ? words.buildState.failed(error.said) : words.buildLost;
    }
    start.disabled = false;
    bar.hidden = true;
  }
  async function follow(build) {
    let now = build;
    bar.hidden = false;
    while (now.state === "queued" || now.state === "running") {
      bar.value = now.progress ?? 0;
      state.textContent = words.buildState[now.state](now.state === "queued" ? now.position : bar.value);
      await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
      now = await ask(`builds/${build.id}`);
    }
    if (now.state === "failed") throw Object.assign(new Error(), { said: messageOf(now) });
    state.textContent = words.buildState.done;
    start.textContent = words.buildAgain;
    const at = `${world.api}/builds/${build.id}`;
    links.replaceChildren(
      make("a", { class: "as-button", href: `${at}/package`, download: `${name}.homerange` }, words.downloadPackage),
      make("a", { href: `${at}/card`, target: "_blank", rel: "noopener" }, words.showCard),
    );
  }
  async function ask(path, content) {
    const answer = await fetch(`${world.api}/${path}`, content && {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(content),
    });
    const said = await answer.json();
    if (!answer.ok) throw Object.assign(new Error(), { said: messageOf(said) });
    return said;
  }
  return make("div", { class: "builder" }, start, bar, state, links);
}

function order(world) {
  const { place, include, exclude, dropped } = chosen;
  return {
    place,
    include: include.map((c) => world.labels[c]),
    exclude: exclude.map((c) => world.labels[c]),
    experts: dropped ? `first-order:${dropped}` : null,
    bits: null,
  };
}

function messageOf({ error }) {
  return typeof error === "string" ? error : [error?.message, error?.next].filter(Boolean).join(" ");
}
