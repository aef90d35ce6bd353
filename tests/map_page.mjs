// Answers of the page's own functions for many places: node parity.mjs SITE MODULES < places.json
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [site, modules] = process.argv.slice(2);
for (const name of ["world", "records", "evidence", "shapes", "routing"]) {
  try {
    (0, eval)(readFileSync(`${site}/data/${name}.js`, "utf8"));
  } catch (error) {
    if (name !== "routing") throw error;
  }
}
const from = (name) => import(pathToFileURL(`${modules}/${name}.js`));
const { loadChunk } = await from("chunks");
const { borderProblem, describe, measureCells } = await from("places");
const { readCountries } = await from("countries");
const { speciesAt } = await from("species");
const { judge, packageBytes } = await from("evidence");
const { dropOrder, dropped, useOf } = await from("routing");

const [world, records, evidence, shapes] = await Promise.all(
  ["world", "records", "evidence", "shapes"].map(loadChunk),
);
records.cells = measureCells(records.cell);
evidence.cells = measureCells(evidence.cell);
readCountries(shapes.text);
const routing = world.chunks.includes("routing") ? await loadChunk("routing") : null;

const answers = [];
for (const { place, include, exclude, drop } of JSON.parse(readFileSync(0, "utf8"))) {
  const start = performance.now();
  const table = speciesAt(world, records, place, include, exclude);
  const ms = performance.now() - start;
  const use = routing && useOf(routing, table.classes);
  const gone = routing && dropped(dropOrder(routing, use, world.drop_rule), use, drop ?? 0);
  answers.push({
    ms,
    description: describe(place),
    problem: place.kind === "polygon" ? borderProblem(place) : null,
    species: table.species,
    missing: table.missing,
    judged: judge(world, evidence, place, table),
    bytes: packageBytes(world, table.classes.length, gone?.byLayer),
    dropped: gone,
  });
}
console.log(JSON.stringify(answers));
