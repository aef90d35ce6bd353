// Distances on the Earth, taken as a sphere: homerange/geo/sphere.py, in the browser.

export const EARTH_RADIUS_KM = 6371.0088;
const RADIANS = Math.PI / 180;

/** Great-circle distance in km between two places in degrees. */
export function greatCircleKm(startLat, startLon, endLat, endLon) {
  const halfStartLat = (startLat * RADIANS) / 2;
  const halfEndLat = (endLat * RADIANS) / 2;
  const dLat = halfEndLat - halfStartLat;
  const dLon = (endLon * RADIANS) / 2 - (startLon * RADIANS) / 2;
  const meanLat = halfEndLat + halfStartLat;
  const near = Math.hypot(Math.sin(dLat) * Math.cos(dLon), Math.cos(meanLat) * Math.sin(dLon));
  const far = Math.hypot(Math.cos(dLat) * Math.cos(dLon), Math.sin(meanLat) * Math.sin(dLon));
  return 2 * EARTH_RADIUS_KM * Math.atan2(near, far);
}

/** Unit vector of a place in degrees: x to 0 N 0 E, y to 0 N 90 E, z to the north pole. */
export function toXyz(lat, lon) {
  const cosLat = Math.cos(lat * RADIANS);
  return [
    cosLat * Math.cos(lon * RADIANS),
    cosLat * Math.sin(lon * RADIANS),
    Math.sin(lat * RADIANS),
  ];
}

/** Latitude and longitude in degrees of a vector of any length. */
export function toLatLon([x, y, z]) {
  return [Math.atan2(z, Math.hypot(x, y)) / RADIANS, Math.atan2(y, x) / RADIANS];
}

export function cross(a, b) {
  return [
    a[1] * b[2] - a[2] * b[1],
    a[2] * b[0] - a[0] * b[2],
    a[0] * b[1] - a[1] * b[0],
  ];
}

export function dot(a, b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/** The outline of a circle on the Earth, for drawing: [longitude, latitude] without jumps. */
export function circleRing(lat, lon, radiusKm, corners = 96) {
  const angle = Math.min(radiusKm / EARTH_RADIUS_KM, Math.PI * 0.999);
  const sinLat = Math.sin(lat * RADIANS);
  const cosLat = Math.cos(lat * RADIANS);
  const ring = [];
  let before = lon;
  for (let i = 0; i <= corners; i += 1) {
    const bearing = (2 * Math.PI * i) / corners;
    const sinTo = sinLat * Math.cos(angle) + cosLat * Math.sin(angle) * Math.cos(bearing);
    const east = Math.sin(bearing) * Math.sin(angle) * cosLat;
    const to = lon + Math.atan2(east, Math.cos(angle) - sinLat * sinTo) / RADIANS;
    before = nearTurn(to, before);
    ring.push([before, Math.asin(Math.max(-1, Math.min(1, sinTo))) / RADIANS]);
  }
  return closedAtPole(ring);
}

/** The same longitude, by whole turns as near to another as can be. */
export function nearTurn(lon, other) {
  return lon - 360 * Math.round((lon - other) / 360);
}

/** A ring that went round the Earth holds a pole: lead it there and back. */
function closedAtPole(ring) {
  const round = ring[ring.length - 1][0] - ring[0][0];
  if (Math.abs(round) < 180) return ring;
  const mean = ring.reduce((sum, corner) => sum + corner[1], 0) / ring.length;
  const pole = mean >= 0 ? 89.9 : -89.9;
  const last = ring[ring.length - 1];
  return [...ring, [last[0], pole], [ring[0][0], pole], ring[0]];
}
