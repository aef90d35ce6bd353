// What the experts do for the species of a place: sums over its classes, as choose.py takes them.

/** Tokens and first-order rise of the loss of every expert, over some classes. */
export function useOf(routing, classes) {
  const experts = routing.layers.reduce((sum, layer) => sum + layer.experts, 0);
  const use = { tokens: new Float64Array(experts), rise: new Float64Array(experts), photos: 0 };
  for (const c of classes) {
    use.photos += routing.val_photos[c];
    for (let n = routing.first[c]; n < routing.first[c + 1]; n += 1) {
      use.tokens[routing.expert[n]] += routing.tokens[n];
      use.rise[routing.expert[n]] += routing.loss_rise[n];
    }
  }
  return use;
}

/** The layers with the number of their first expert. */
export function layersOf(routing) {
  let start = 0;
  return routing.layers.map(({ layer, experts }) => {
    start += experts;
    return { layer, experts, start: start - experts };
  });
}

/** Which expert goes first, second ...: the least rise of the loss; a layer keeps one under reroute. */
export function dropOrder(routing, use, dropRule) {
  const layers = layersOf(routing);
  const left = new Map(layers.map(({ layer, experts }) => [layer, experts]));
  const every = layers.flatMap(({ layer, experts, start }) =>
    Array.from({ length: experts }, (_, e) => ({ layer, e, k: start + e })),
  );
  every.sort(
    (a, b) =>
      use.rise[a.k] - use.rise[b.k] ||
      use.tokens[a.k] - use.tokens[b.k] ||
      a.layer - b.layer ||
      a.e - b.e,
  );
  const stays = dropRule === "reroute" ? 1 : 0;
  return every.filter(({ layer }) => {
    if (left.get(layer) <= stays) return false;
    left.set(layer, left.get(layer) - 1);
    return true;
  });
}

/** Experts gone of each layer, and the rise of the loss of a photo, when the first n are dropped. */
export function dropped(order, use, n) {
  const byLayer = {};
  let rise = 0;
  for (const { layer, k } of order.slice(0, n)) {
    byLayer[layer] = (byLayer[layer] ?? 0) + 1;
    rise += use.rise[k];
  }
  return { byLayer, rise: use.photos ? rise / use.photos : null };
}
