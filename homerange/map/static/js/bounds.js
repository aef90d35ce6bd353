// Boxes around rings.

/** The smallest upright box around rings of [longitude, latitude]: [west, south, east, north]. */
export function boundsOf(rings) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [lon, lat] of rings.flat()) {
    box[0] = Math.min(box[0], lon);
    box[1] = Math.min(box[1], lat);
    box[2] = Math.max(box[2], lon);
    box[3] = Math.max(box[3], lat);
  }
  return box;
}
