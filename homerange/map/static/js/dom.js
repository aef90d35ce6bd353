// Elements in one line each.

const SVG = "http://www.w3.org/2000/svg";
const IN_SVG = new Set(["svg", "g", "path", "circle", "rect", "line", "text", "title", "polyline"]);

/** Make an element: its attributes (a function listens to an event), then its content. */
export function make(name, attributes = {}, ...content) {
  const isSvg = IN_SVG.has(name) && !(name === "title" && attributes.html);
  const element = isSvg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) setAttribute(element, key, value);
  element.append(...content.flat().filter((one) => one !== null && one !== undefined));
  return element;
}

function setAttribute(element, key, value) {
  if (value === null || value === undefined || value === false) return;
  if (typeof value === "function") element.addEventListener(key, value);
  else element.setAttribute(key, value === true ? "" : value);
}

/** A drawing of 24 by 24 for a button; screen readers do not see it. */
export function icon(path) {
  return make(
    "svg",
    { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true", focusable: "false" },
    make("path", { d: path }),
  );
}

export function button(label, click, attributes = {}) {
  return make("button", { type: "button", click, ...attributes }, label);
}

/** Hand a file over to the user. */
export function download(name, bytes, type) {
  const link = make("a", { href: URL.createObjectURL(new Blob([bytes], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Save a drawing as a file of its own: with the colours that it has now. */
export function saveSvg(svg, name) {
  const copy = svg.cloneNode(true);
  copy.setAttribute("xmlns", SVG);
  const before = svg.querySelectorAll("*");
  copy.querySelectorAll("*").forEach((element, k) => {
    const style = getComputedStyle(before[k]);
    for (const key of ["fill", "stroke", "stroke-width", "opacity", "font-size", "font-family"]) {
      element.setAttribute(key, style.getPropertyValue(key));
    }
  });
  const background = getComputedStyle(document.body).getPropertyValue("--panel");
  copy.insertBefore(make("rect", { width: "100%", height: "100%", fill: background }), copy.firstChild);
  download(name, new XMLSerializer().serializeToString(copy), "image/svg+xml");
}
