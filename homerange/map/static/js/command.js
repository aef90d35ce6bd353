// The command line that does the same as the page.

/** Words of `homerange get` for what was chosen; a drawn area goes into a file first. */
export function getCommand(world, chosenNow, name) {
  const { place, include, exclude, dropped } = chosenNow;
  const parts = ["homerange get --world", quote(world.name)];
  parts.push(...placeOptions(place, name));
  for (const c of include) parts.push("--include", quote(world.labels[c]));
  for (const c of exclude) parts.push("--exclude", quote(world.labels[c]));
  if (dropped) parts.push("--experts", `first-order:${dropped}`);
  parts.push("-o", quote(`${name}.homerange`));
  return parts.join(" ");
}

export function predictCommand(name) {
  return `homerange predict photos/ --model ${quote(`${name}.homerange`)} -o results.csv`;
}

/** The areas that a command needs as a file; null where it needs none. */
export function areaFile(place) {
  const parts = place.kind === "union" ? place.places : [place];
  const features = parts
    .filter(({ kind }) => kind === "polygon")
    .map(({ name, geometry }) => ({ type: "Feature", properties: { name }, geometry }));
  return features.length ? JSON.stringify({ type: "FeatureCollection", features }) : null;
}

/** A short name for a file. */
export function nameOf(place) {
  const text = {
    circle: () => `at ${place.latitude_deg} ${place.longitude_deg}`,
    cell: () => `cell ${place.token}`,
    polygon: () => place.name,
    country: () => place.name,
    list: () => "my species",
    union: () => `${nameOf(place.places[0])} and more`,
  }[place.kind]();
  const plain = text.normalize("NFKD").replaceAll(/[\u0300-\u036f]/g, "").toLowerCase();
  return plain.replaceAll(/[^a-z0-9.-]+/g, "-").replaceAll(/^-+|-+$/g, "") || "place";
}

/** Polygons share one file, so that option stands once. */
function placeOptions(place, name) {
  const parts = place.kind === "union" ? place.places : [place];
  const isFirst = (one, k) => one.kind !== "polygon" || parts.findIndex((p) => p.kind === "polygon") === k;
  return parts.filter(isFirst).flatMap((one) => option(one, name));
}

function option(place, name) {
  if (place.kind === "circle") {
    const { latitude_deg: lat, longitude_deg: lon, radius_km: radiusKm } = place;
    return ["--at", `${lat},${lon}`, "--radius-km", String(radiusKm)];
  }
  if (place.kind === "cell") return ["--s2", place.cell];
  if (place.kind === "country") return ["--country", place.country];
  if (place.kind === "polygon") return ["--geojson", quote(`${name}.geojson`)];
  return ["--species", quote(`${name}.txt`)];
}

function quote(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
