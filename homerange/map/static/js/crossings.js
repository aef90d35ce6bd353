// Whether a border crosses itself: homerange/geo/crossings.py, in the browser.
// Edges are [startLat, startLon, endLat, endLon]: borders clockwise on the map, holes the other way.

const MOST_PAIRS = 1e7;
const MOST_TOUCHES = 1000;
const TOUCHES_WITHIN_DEG = 1e-9;
const STRIPS_OF_AN_EDGE = 3;
const SLACK_DEG = 1e-6;
const SAME_DIRECTION = 1e-9;

/** A place {lat, lon} where a border crosses itself; {tangled} where nobody can tell; null without one. */
export function findCrossing(allEdges, reachDeg) {
  const rounded = allEdges.map((edge) => edge.map((degrees) => Math.round(degrees * 1e9) / 1e9));
  const edges = rounded.filter(([a, b, c, d]) => a !== c || b !== d);
  const seen = new Set();
  let found = null;
  function meet(lat, lon) {
    const near = `${Math.round((2 * lat) / reachDeg)} ${Math.round((2 * lon) / reachDeg)}`;
    if (seen.has(near)) return false;
    seen.add(near);
    if (windsWrong(edges, lat, lon, reachDeg)) found = { lat, lon };
    else if (seen.size > MOST_TOUCHES) found = { tangled: true };
    return found !== null;
  }
  if (!repeatedCorners(edges).some(([lat, lon]) => meet(lat, lon)) && !everyNeighbour(edges, meet)) {
    found ??= { tangled: true };
  }
  return found;
}

function repeatedCorners(edges) {
  const seen = new Set();
  return edges.filter(([lat, lon]) => {
    const corner = `${lat} ${lon}`;
    return seen.has(corner) || !seen.add(corner);
  });
}

/** Meet where edges of the same strip cross or touch; false where too many lie side by side. */
function everyNeighbour(edges, meet) {
  let pairs = 0;
  for (const strip of inStrips(edges)) {
    for (let one = 0; one < strip.length; one += 1) {
      const { edge, east } = strip[one];
      for (let two = one + 1; two < strip.length && strip[two].west <= east; two += 1) {
        if ((pairs += 1) > MOST_PAIRS) return false;
        if (meetings(edges[edge], edges[strip[two].edge]).some((at) => meet(...at))) return true;
      }
    }
  }
  return true;
}

/** Strips of latitude, each with the longitudes of the edges in it, from west to east. */
function inStrips(edges) {
  if (!edges.length) return [];
  let [base, top, rises] = [Infinity, -Infinity, 0];
  for (const [start, , end] of edges) {
    base = Math.min(base, start, end);
    top = Math.max(top, start, end);
    rises += Math.abs(end - start);
  }
  base -= SLACK_DEG;
  const most = rises ? (STRIPS_OF_AN_EDGE * edges.length * (top - base)) / rises : 1;
  const count = Math.max(1, Math.floor(Math.min(edges.length, most)));
  const height = (top + SLACK_DEG - base) / count;
  const strips = Array.from({ length: count + 1 }, () => []);
  edges.forEach(([lat, lon, endLat, endLon], edge) => {
    const first = Math.floor((Math.min(lat, endLat) - SLACK_DEG - base) / height);
    const last = Math.floor((Math.max(lat, endLat) + SLACK_DEG - base) / height);
    for (let strip = Math.max(first, 0); strip <= Math.min(last, count); strip += 1) {
      const at = (level, flat) =>
        lon + (lat === endLat ? flat : Math.min(Math.max((base + level * height - lat) / (endLat - lat), 0), 1)) * (endLon - lon);
      const ends = [at(strip, 0), at(strip + 1, 1)];
      strips[strip].push({ edge, west: Math.min(...ends) - SLACK_DEG, east: Math.max(...ends) + SLACK_DEG });
    }
  });
  for (const strip of strips) strip.sort((a, b) => a.west - b.west);
  return strips;
}

/** Where two edges cross, or one ends on the other. */
function meetings(one, other) {
  const sides = [sideOf(one, other[0], other[1]), sideOf(one, other[2], other[3])];
  const back = [sideOf(other, one[0], one[1]), sideOf(other, one[2], one[3])];
  const found = [];
  if (sides[0] * sides[1] < 0 && back[0] * back[1] < 0) {
    const step = [one[2] - one[0], one[3] - one[1]];
    const otherStep = [other[2] - other[0], other[3] - other[1]];
    const share = crossOf([other[0] - one[0], other[1] - one[1]], otherStep) / crossOf(step, otherStep);
    found.push([one[0] + share * step[0], one[1] + share * step[1]]);
  }
  for (const [edge, by, on] of [[one, other, sides], [other, one, back]]) {
    for (const end of [0, 1]) {
      if (on[end] === 0 && isBetween(edge, by[2 * end], by[2 * end + 1])) found.push([by[2 * end], by[2 * end + 1]]);
    }
  }
  return found;
}

/** 1 or -1 beside the line of an edge, 0 on it. */
function sideOf([lat, lon, endLat, endLon], toLat, toLon) {
  const step = [endLat - lat, endLon - lon];
  const away = crossOf(step, [toLat - lat, toLon - lon]) / Math.hypot(...step);
  return Math.abs(away) <= TOUCHES_WITHIN_DEG ? 0 : Math.sign(away);
}

function isBetween([lat, lon, endLat, endLon], toLat, toLon) {
  const step = [endLat - lat, endLon - lon];
  const length = Math.hypot(...step);
  const along = (step[0] * (toLat - lat) + step[1] * (toLon - lon)) / length;
  return along > TOUCHES_WITHIN_DEG && along < length - TOUCHES_WITHIN_DEG;
}

/** Whether the border winds otherwise than 0 times or once about places around a point. */
function windsWrong(edges, lat, lon, reachDeg) {
  const near = edges
    .filter(([a, , b]) => Math.max(a, b) >= lat - reachDeg && Math.min(a, b) <= lat + reachDeg)
    .map(([a, b, c, d]) => [a - lat, b - lon, c - lat, d - lon]);
  const angles = near.flatMap((edge) => directionsOf(edge, reachDeg)).sort((a, b) => a - b);
  return angles.some((angle, k) => {
    const gap = (angles[k + 1] ?? angles[0] + 2 * Math.PI) - angle;
    if (gap <= SAME_DIRECTION) return false;
    const winds = windingAbout(near, reachDeg * Math.sin(angle + gap / 2), reachDeg * Math.cos(angle + gap / 2));
    return winds !== 0 && winds !== 1;
  });
}

/** The directions in which an edge crosses a circle around 0, 0. */
function directionsOf([lat, lon, endLat, endLon], reachDeg) {
  const [rise, run] = [endLat - lat, endLon - lon];
  const square = rise ** 2 + run ** 2;
  const nearest = -(lat * rise + lon * run) / square;
  const inside = reachDeg ** 2 - (lat + nearest * rise) ** 2 - (lon + nearest * run) ** 2;
  if (inside <= 0) return [];
  return [-1, 1]
    .map((sign) => nearest + sign * Math.sqrt(inside / square))
    .filter((share) => share >= 0 && share <= 1)
    .map((share) => Math.atan2(lat + share * rise, lon + share * run));
}

/** How often edges wind clockwise about a place. */
function windingAbout(edges, lat, lon) {
  let winds = 0;
  for (const [startLat, startLon, endLat, endLon] of edges) {
    if (startLat > lat === endLat > lat) continue;
    const slope = (endLon - startLon) / (endLat - startLat);
    if (lon < startLon + (lat - startLat) * slope) winds -= Math.sign(endLat - startLat);
  }
  return winds;
}

function crossOf([a, b], [c, d]) {
  return a * d - b * c;
}
