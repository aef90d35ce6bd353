// The data of the page. Each chunk is a script of its own, data/NAME.js, that hands over a text:
// the only way to data that works from a web host and from a folder on disk alike.
// What a chunk is made of: homerange/map/chunks.py.

const TYPES = {
  u1: Uint8Array,
  u2: Uint16Array,
  u4: Uint32Array,
  u8: BigUint64Array,
  f4: Float32Array,
  f8: Float64Array,
};

const waiting = new Map();
const loaded = new Map();

/** Load a chunk once: its facts, with its arrays beside them. */
export function loadChunk(name, folder = "data") {
  if (!loaded.has(name)) loaded.set(name, fetchText(name, folder).then(unpack));
  return loaded.get(name);
}

function fetchText(name, folder) {
  const ready = globalThis.homerangeChunks?.[name];
  if (ready) return Promise.resolve(ready);
  return new Promise((resolve, reject) => {
    waiting.set(name, resolve);
    const script = document.createElement("script");
    script.src = `${folder}/${name}.js`;
    script.onload = () => waiting.get(name)?.(globalThis.homerangeChunks[name]);
    script.onerror = () => reject(new Error(`${folder}/${name}.js is missing`));
    document.head.append(script);
  });
}

async function unpack(text) {
  const bytes = await unzip(fromBase64(text));
  const headBytes = new DataView(bytes.buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + headBytes)));
  const chunk = { ...head.facts };
  for (const { name, type, offset, length } of head.arrays) {
    chunk[name] = new TYPES[type](bytes.buffer, offset, length);
  }
  return chunk;
}

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

export async function unzip(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
