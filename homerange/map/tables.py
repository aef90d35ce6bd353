"""What the page knows of a world: its tables, as small as a list needs them.

Nothing here says more than the world's own files: cells of level 8 or coarser and low ends of
bands of counts. Splits are summed up, features of photos are left out.

Axes used in this file:
    N  rows of a chunk        U  cells, each once        C  classes of the world
    P  test photos            B  classes that beat the true class of a photo
"""

import itertools
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from homerange.map.chunks import smallest_unsigned
from homerange.specialize.evidence import logits_of_world
from homerange.world.expert_tables import Routing
from homerange.world.occurrences import EXTRA
from homerange.world.tables import COUNT_BAND_FROM, Evidence, Occurrence, Profile
from homerange.world.world import World

__all__ = ["MOST_BEATERS", "Chunk", "evidence_chunk", "records_chunk", "routing_chunk"]

Chunk: TypeAlias = tuple[dict[str, object], dict[str, NDArray[np.generic]]]
"""Facts and arrays, as ``chunk_script`` takes them."""

MOST_BEATERS = 64
"""Classes that are kept of those that beat the true one: more would weigh megabytes and hardly ever
matter, because one of them on the list of a place is enough to make the answer wrong."""

_PHOTOS_AT_A_TIME = 1024


def records_chunk(world: World) -> Chunk:
    """Sum up the records by cell, species, uncertainty and month; those of a cell lie together."""
    low = " ".join(f"WHEN {k} THEN {n}" for k, n in enumerate(COUNT_BAND_FROM, start=1))
    rows = Occurrence.query(
        world.path,
        "SELECT cell, species, uncertainty_km, month, "
        f"sum(CASE count_band {low} END)::BIGINT AS count, "
        f"bool_or(source <> '{EXTRA}') AS photographed FROM source WHERE cell <> 0 "
        "GROUP BY cell, species, uncertainty_km, month ORDER BY ALL",
    )
    index_of = {label: c for c, label in enumerate(world.labels)}
    others = sorted(set(rows["species"].tolist()) - set(index_of))
    index_of |= {name: len(world.labels) + k for k, name in enumerate(others)}
    cell_U, first_U = np.unique(rows["cell"].astype(np.uint64), return_index=True)
    uncertainty_km, which_N = np.unique(rows["uncertainty_km"], return_inverse=True)
    count_N = rows["count"]
    facts: dict[str, object] = {"others": others, "uncertainties_km": uncertainty_km.tolist()}
    return facts, {
        "cell": cell_U,
        "first": np.append(first_U, len(count_N)).astype(np.uint32),
        "species": smallest_unsigned(np.array([index_of[s] for s in rows["species"].tolist()])),
        "uncertainty": smallest_unsigned(which_N),
        "month": rows["month"].astype(np.uint8),
        "count": smallest_unsigned(count_N),
        "photographed": rows["photographed"].astype(np.uint8),
    }


def evidence_chunk(world: World) -> Chunk:
    """Keep, of each test photo, its class, its cell, and the classes that beat the true one.

    The answer of a model that knows some classes is right where none of those is among them: so the
    page judges any list without the features. Of more than ``MOST_BEATERS`` the strongest are kept.
    """
    photos = Evidence.read(world.path, "split = 'test'")
    beaters = _beaters(world, photos)
    kept = [row[:MOST_BEATERS] for row in beaters]
    cell_U, which_P = np.unique(photos.cell, return_inverse=True)
    offsets = list(itertools.accumulate((len(row) for row in kept), initial=0))
    facts: dict[str, object] = {"most_beaters": MOST_BEATERS}
    return facts, {
        "cell": cell_U,
        "photo_cell": smallest_unsigned(which_P),
        "photo_class": smallest_unsigned(photos.class_index),
        "first": np.array(offsets, np.uint32),
        "beaten_by": smallest_unsigned(np.concatenate([*kept, np.zeros(0, np.int64)])),
        "cut_short": np.array([len(row) > MOST_BEATERS for row in beaters], np.uint8),
    }


def _beaters(world: World, photos: Evidence) -> list[NDArray[np.int64]]:
    """Find for each photo the classes that would be answered before the true one, strongest first.

    Of equal logits the lowest class is answered, as ``argmax`` does.
    """
    logits = logits_of_world(world)
    found: list[NDArray[np.int64]] = []
    for start in range(0, len(photos), _PHOTOS_AT_A_TIME):
        part = slice(start, start + _PHOTOS_AT_A_TIME)
        logits_PC = logits(photos.feature[part])
        true_P1 = photos.class_index[part, None].astype(np.int64)
        own_P1 = np.take_along_axis(logits_PC, true_P1, axis=1)
        first_PC = np.arange(logits_PC.shape[1])[None, :] < true_P1
        beats_PC = (logits_PC > own_P1) | ((logits_PC == own_P1) & first_PC)
        found += [_strongest(*row) for row in zip(logits_PC, beats_PC, strict=True)]
    return found


def _strongest(logits_C: NDArray[np.float32], beats_C: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the beaters by falling logit: all, or one more than are kept."""
    (index_B,) = np.nonzero(beats_C)
    most = MOST_BEATERS + 1
    if len(index_B) > most:
        index_B = index_B[np.argpartition(-logits_C[index_B], most)[:most]]
    return index_B[np.argsort(-logits_C[index_B], kind="stable")]


def routing_chunk(world: World) -> Chunk:
    """Sum up what the experts do on validation photos, by class; they count through all layers.

    Summed are tokens and the first-order rise of the loss without the expert.
    """
    layers = [layer for layer in world.graph.experts if layer.experts]
    starts = list(itertools.accumulate((layer.experts for layer in layers), initial=0))
    rows = Routing.query(
        world.path,
        "SELECT class_index, layer, expert, sum(tokens)::BIGINT AS tokens, "
        "sum(loss_rise) AS loss_rise FROM source WHERE split = 'val' "
        "GROUP BY class_index, layer, expert ORDER BY class_index, layer, expert",
    )
    start_of = {layer.layer: start for layer, start in zip(layers, starts, strict=False)}
    first_N = np.array([start_of[n] for n in rows["layer"].tolist()], np.int64)
    expert_N = first_N + rows["expert"].astype(np.int64)
    first_C = np.searchsorted(rows["class_index"], np.arange(len(world.labels) + 1))
    shapes = [{"layer": one.layer, "experts": one.experts} for one in layers]
    return {"layers": shapes, "val_photos": _val_photos(world)}, {
        "first": first_C.astype(np.uint32),
        "expert": smallest_unsigned(expert_N),
        "tokens": smallest_unsigned(rows["tokens"]),
        "loss_rise": rows["loss_rise"].astype(np.float32),
    }


def _val_photos(world: World) -> list[int]:
    """Count the validation photos of each class."""
    profile = Profile.read(world.path, "split = 'val'")
    photos_C = np.zeros(len(world.labels), np.int64)
    np.add.at(photos_C, profile.class_index, profile.photos)
    return [int(photos) for photos in photos_C]
