// Where a photo was taken, from its EXIF, as strictly as homerange/data/exif.py reads it.

const FIELDS = ["GPSLatitude", "GPSLatitudeRef", "GPSLongitude", "GPSLongitudeRef"];

/** [latitude, longitude] in degrees, or null where the photo does not know. */
export async function placeOfPhoto(file) {
  let gps;
  try {
    gps = await exifr.parse(file, { pick: FIELDS, gps: true, reviveValues: false });
  } catch {
    return null;
  }
  const lat = degrees(gps?.GPSLatitude, gps?.GPSLatitudeRef, "NS", 90);
  const lon = degrees(gps?.GPSLongitude, gps?.GPSLongitudeRef, "EW", 180);
  // 0, 0 is a receiver without a fix
  return lat === null || lon === null || (lat === 0 && lon === 0) ? null : [lat, lon];
}

function degrees(parts, reference, signs, limit) {
  const side = String(reference ?? "").trim().toUpperCase();
  if (!parts || parts.length !== 3 || side.length !== 1 || !signs.includes(side)) return null;
  const value = parts[0] + parts[1] / 60 + parts[2] / 3600;
  if (!Number.isFinite(value) || value < 0 || value > limit) return null;
  return side === signs[0] ? value : -value;
}
