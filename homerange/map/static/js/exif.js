// Where a photo was taken, from its EXIF, as strictly as homerange/data/exif.py reads it.

const NUMBERS = { mergeOutput: false, translateKeys: false, translateValues: false };
const [LAT_REF, LAT, LON_REF, LON] = [1, 2, 3, 4]; // tags of the GPS directory

/** [latitude, longitude] in degrees, or null where the photo does not know. */
export async function placeOfPhoto(file) {
  let gps;
  try {
    ({ gps } = await exifr.parse(file, { ...NUMBERS, gps: true }));
  } catch {
    return null;
  }
  const lat = degrees(gps?.[LAT], gps?.[LAT_REF], "NS", 90);
  const lon = degrees(gps?.[LON], gps?.[LON_REF], "EW", 180);
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
