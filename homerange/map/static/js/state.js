// What the user chose, and who wants to know when it changes.

const listeners = [];

export const chosen = {
  place: null,
  include: [],
  exclude: [],
  dropped: 0,
  pinned: null,
};

/** Change some of it and tell everybody what changed. */
export function choose(changes) {
  const names = Object.keys(changes).filter((name) => chosen[name] !== changes[name]);
  Object.assign(chosen, changes);
  if (names.length) for (const listener of listeners) listener(names);
}

export function whenChosen(listener) {
  listeners.push(listener);
}
