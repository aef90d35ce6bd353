// The world's model in the browser: photos in, probabilities out. Nothing leaves the machine.

import { loadChunk } from "./chunks.js";
import { prepare } from "./photos.js";

let session = null;

/** Load the runtime and the model; once. */
export function loadModel() {
  session ??= open();
  return session;
}

async function open() {
  await loadScript("vendor/ort.js");
  const [runtime, model] = await Promise.all([loadChunk("ort-wasm", "vendor"), loadChunk("model")]);
  ort.env.wasm.wasmBinary = runtime.wasm;
  ort.env.wasm.numThreads = 1; // several need headers that a plain web host does not send
  ort.env.logLevel = "error";
  return ort.InferenceSession.create(model.graph, {
    executionProviders: ["wasm"],
    externalData: [{ path: model.weights_file, data: model.weights }],
  });
}

function loadScript(path) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = path;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${path} is missing`));
    document.head.append(script);
  });
}

/** The logits of all classes of the world for a photo. */
export async function logitsOf(file, world) {
  const runtime = await loadModel();
  const px = world.preprocessing.input_px;
  const pixels = await prepare(file, world.preprocessing);
  const feed = { [world.graph.input]: new ort.Tensor("uint8", pixels, [1, px, px, 3]) };
  const found = await runtime.run(feed);
  return found[world.graph.output].data;
}

/** Probabilities over some classes, the highest first. What is sliced has the same logits. */
export function ranked(logits, classes) {
  const most = Math.max(...classes.map((c) => logits[c]));
  const weights = classes.map((c) => Math.exp(logits[c] - most));
  const sum = weights.reduce((a, b) => a + b, 0);
  return classes
    .map((c, k) => ({ c, probability: weights[k] / sum }))
    .sort((a, b) => b.probability - a.probability || a.c - b.c);
}
