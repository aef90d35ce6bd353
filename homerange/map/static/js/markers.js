// Points on the map that are dragged, or moved by the arrow keys.

import { make } from "./dom.js";

const STEP_PX = 6;
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Put a point on the map; `moved` is told where it went, [longitude, latitude]. */
export function makeMarker(map, corner, label, moved) {
  const element = make("button", { type: "button", class: "corner", "aria-label": label, keydown: nudge });
  const marker = new maplibregl.Marker({ element, draggable: true }).setLngLat(corner).addTo(map);
  marker.on("dragend", () => moved(marker.getLngLat().toArray()));
  // MapLibre names markers itself and takes the keyboard from them
  element.setAttribute("aria-label", label);
  element.addEventListener("click", (event) => event.stopPropagation());
  function nudge(event) {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const at = map.project(marker.getLngLat());
    const far = event.shiftKey ? 5 * STEP_PX : STEP_PX;
    moved(map.unproject([at.x + far * step[0], at.y + far * step[1]]).toArray());
  }
  return marker;
}
