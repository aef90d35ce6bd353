"""Two worlds of the paper's size, drawn from a seed: a dense one and one with 256 experts.

Weights are random: only sizes and times can be measured on them, no accuracy. Tables are drawn so
that they are as large as those of a world of 5,089 species, and places differ as they do there:

    - records of a species lie within its range, a disc around a point on land, and crowd where many
      observers live; there are as many as iNaturalist 2017 has training photos, 579,184;
    - 15 judged photos of each class lie in at most three of its cells;
    - tokens go to experts by what they show: there are 40 kinds of tokens, each with its expert in
      every layer, and one token of five strays. A photo then visits as many experts, and takes as
      many edges, as photos of a small trained network did.

Land is a coarse outline of the continents, written by hand: good for random places, not for maps.
Only :func:`make_worlds` needs torch.

Axes used in this file:
    N  rows of a table, or photos     X  points on land            V  corners of an outline
    T  tokens of a layer              K  kinds of tokens           C  classes
    G  groups: class, cell and split
"""

import dataclasses
import itertools
import shutil
import sys
from pathlib import Path

import numpy as np

from homerange.geo.cells import cell_ids
from homerange.geo.sphere import EARTH_RADIUS_KM, to_xyz
from homerange.world.expert_tables import Edges, Routing
from homerange.world.parquet import strings
from homerange.world.tables import Evidence, Occurrence, count_band

__all__ = ["CLASSES", "INPUT_PX", "LAYERS", "land_points", "make_worlds", "on_land"]

CLASSES = 5089
INPUT_PX = 224
FEATURES = 256
RECORDS = 579_184
TEST_PHOTOS, JUDGED_CELLS = 10, 3
LAYERS = {1: 784, 3: 196, 5: 196, 7: 64}
"""Tokens of a photo in each layer with experts."""
EXPERTS, KINDS, STRAY = 64, 40, 0.2
ZIPF = 1 / np.arange(1, EXPERTS + 1)
"""How many strays go to the most popular expert, the next one, and so on."""
POINTS = 100_000
"""Points on land where records can lie."""
AT_A_TIME = 64
"""Classes whose tokens are drawn together."""

ANTARCTICA = "-70,-180 -70,180 -90,180 -90,-180"
LAND = (
    "72,-155 70,-125 73,-95 68,-82 60,-94 52,-80 62,-76 55,-60 47,-53 44,-66 40,-74 35,-76 25,-80 "
    "30,-84 30,-90 26,-97 19,-96 21,-87 16,-88 9,-80 8,-83 15,-95 20,-105 23,-110 34,-120 48,-124 "
    "58,-136 60,-150 55,-162 60,-166 66,-166",  # North and Central America
    "83,-35 76,-20 70,-23 60,-44 70,-54 76,-68 82,-60",  # Greenland
    "12,-72 10,-62 4,-51 -5,-35 -13,-39 -23,-42 -34,-54 -39,-62 -52,-69 -55,-68 -50,-75 -37,-73 "
    "-18,-70 -5,-81 1,-80 8,-77",  # South America
    "36,-6 37,10 32,20 31,32 12,43 11,51 -3,40 -15,41 -26,33 -34,26 -34,18 -18,12 -1,9 4,9 4,-7 "
    "15,-17 28,-13",  # Africa
    "-12,49 -25,47 -25,44 -16,44",  # Madagascar
    "37,-9 43,-9 48,-4 53,5 57,8 62,5 71,25 67,41 69,60 73,75 77,104 73,130 70,160 66,180 60,165 "
    "51,157 59,155 59,143 53,141 43,132 39,127 35,129 35,126 39,121 31,122 22,114 21,107 9,106 "
    "13,100 1,104 8,98 16,95 22,91 16,82 8,77 20,72 25,67 25,57 22,59 13,45 28,34 31,34 36,36 "
    "36,28 41,27 37,23 45,13 38,17 44,9 43,4 37,-1",  # Europe and Asia
    "50,-5 51,1 58,-3 58,-6 52,-10",  # British Isles
    "31,130 35,140 45,142 41,140 35,133",  # Japan
    "5,95 -6,105 -8,114 -7,107 -3,106",  # Sumatra and Java
    "7,117 -4,116 -3,110 2,109",  # Borneo
    "18,121 6,126 7,122 14,120",  # Philippines
    "-1,131 -3,141 -10,150 -8,141 -8,138 -4,133",  # New Guinea
    "-11,142 -19,147 -28,153 -38,147 -32,133 -35,116 -22,114 -14,127 -12,136 -17,140",  # Australia
    "-35,173 -38,178 -46,171 -46,167",  # New Zealand
)
"""Corners of each outline: latitude and longitude, degrees."""


def make_worlds(folder: Path, *, seed: int) -> tuple[Path, Path]:
    """Publish both worlds into ``folder``; return the dense one and the one with experts."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    import fakes
    import torch
    from tiny_world import expert_network

    from homerange.model.network import build_network
    from homerange.profile.export import export_graph
    from homerange.profile.fold import fold_batch_norm
    from homerange.world.world import open_world, seal_world

    rng = np.random.default_rng(seed)
    occurrence, rows = _draw_records(rng, fakes.species_rows(CLASSES - 1, rng))
    rows[1:1] = [("blank", "", "", [])]
    tensors = fakes.draw_tensors(rng, CLASSES, FEATURES, "gemm")
    evidence = fakes.draw_evidence(rng, rows, tensors, TEST_PHOTOS, "gemm")
    dense, experts = folder / "dense", folder / "experts"
    sizes = {"classes": CLASSES, "features": FEATURES, "input_px": INPUT_PX}
    fakes.build_world(dense, **sizes, occurrence=occurrence, evidence=evidence)
    shutil.copytree(dense, experts)
    torch.manual_seed(seed)
    export_graph(fold_batch_norm(build_network(classes=CLASSES).eval()), dense, input_px=INPUT_PX)
    fakes.reseal(dense)
    network = fold_batch_norm(expert_network(CLASSES, seed=seed))
    layers = export_graph(network, experts, input_px=INPUT_PX)
    for table in _draw_routes(rng, evidence):
        table.write(experts)
    description = open_world(dense).description
    graph = dataclasses.replace(description.graph, experts=tuple(layers))
    seal_world(experts, dataclasses.replace(description, graph=graph))
    return dense, experts


def land_points(rng, count: int, *, antarctica: bool = True):
    """Draw points evenly over the land: latitude and longitude, degrees, shape (count, 2)."""
    found = np.empty((0, 2))
    while len(found) < count:
        latitude = np.degrees(np.arcsin(rng.uniform(-1, 1, 4 * count)))
        latlon_N2 = np.stack([latitude, rng.uniform(-180, 180, 4 * count)], axis=1)
        found = np.concatenate([found, latlon_N2[on_land(latlon_N2, antarctica=antarctica)]])
    return found[:count]


def on_land(latlon_N2, *, antarctica: bool = True):
    """Tell which points lie inside an outline: a line to the east crosses it an odd time."""
    inside_N = np.zeros(len(latlon_N2), bool)
    latitude_N1, longitude_N1 = latlon_N2[:, :1], latlon_N2[:, 1:]
    for text in (*LAND, ANTARCTICA) if antarctica else LAND:
        corner_V2 = np.array([pair.split(",") for pair in text.split()], float)
        start_V, end_V = corner_V2.T, np.roll(corner_V2, -1, axis=0).T
        crosses_NV = (start_V[0] > latitude_N1) != (end_V[0] > latitude_N1)
        level_V = np.where(start_V[0] == end_V[0], 1.0, end_V[0] - start_V[0])
        at_NV = start_V[1] + (latitude_N1 - start_V[0]) / level_V * (end_V[1] - start_V[1])
        inside_N |= (crosses_NV & (longitude_N1 < at_NV)).sum(axis=1) % 2 == 1
    return inside_N


def _draw_records(rng, rows) -> tuple[Occurrence, list]:
    """Draw the records of each species in its range; return its rows with cells of its photos."""
    latlon_X2 = land_points(rng, POINTS, antarctica=False)
    xyz_X3, cell_X = to_xyz(latlon_X2), cell_ids(latlon_X2, 8)
    # Observers: some regions of about 150 km have many, most have few.
    region_X = np.unique(cell_ids(latlon_X2, 6), return_inverse=True)[1]
    observers_X = rng.lognormal(0, 1.5, region_X.max() + 1)[region_X]
    range_km = rng.lognormal(np.log(1500), 0.8, len(rows)).clip(100, 10_000)
    drawn_of, with_places = [], []
    for (name, common_name, order, _), km in zip(rows, range_km, strict=True):
        near_X = xyz_X3 @ xyz_X3[rng.integers(POINTS)] > np.cos(km / EARTH_RADIUS_KM)
        share_X = observers_X * near_X
        drawn_N = rng.choice(POINTS, RECORDS // len(rows), p=share_X / share_X.sum())
        drawn_of.append(drawn_N)
        with_places.append((name, common_name, order, latlon_X2[drawn_N[:JUDGED_CELLS]].tolist()))
    drawn = np.array(drawn_of)
    row_N = np.repeat(np.arange(len(rows)), drawn.shape[1])
    keys = np.stack([row_N.astype(np.uint64), cell_X[drawn.ravel()], _months(rng, drawn.size)])
    (row_N, cell_N, month_N), count_N = np.unique(keys, axis=1, return_counts=True)
    return Occurrence(
        species=strings(rows[row][0] for row in row_N.tolist()),
        cell=cell_N,
        month=month_N.astype(np.int8),
        source=strings(rng.choice(["train", "val"], len(row_N), p=[0.9, 0.1]).tolist()),
        uncertainty_km=np.zeros(len(row_N), np.float32),
        count_band=count_band(count_N),
    ), with_places


def _months(rng, count: int):
    return rng.integers(1, 13, count).astype(np.uint64)


def _draw_routes(rng, evidence: Evidence) -> tuple[Routing, Edges]:
    """Draw the way of every token of the judged photos through the layers, and count."""
    routes = _Routes(rng)
    routing, edges = [], []
    for first in range(0, CLASSES, AT_A_TIME):
        own_N = (evidence.class_index >= first) & (evidence.class_index < first + AT_A_TIME)
        own_N &= evidence.split == "val"
        class_G, group_N = np.unique(evidence.class_index[own_N], return_inverse=True)
        chosen = routes.draw(evidence.class_index[own_N])
        routing.append(_counted(class_G, group_N, chosen, EXPERTS))
        pairs = {}
        for layer, following in itertools.pairwise(LAYERS):
            covering_T = np.arange(LAYERS[layer]) * LAYERS[following] // LAYERS[layer]
            pairs[layer] = chosen[layer] * EXPERTS + chosen[following][:, covering_T]
        edges.append(_counted(class_G, group_N, pairs, EXPERTS**2))
    return _routing(rng, np.concatenate(routing)), _edges(np.concatenate(edges))


class _Routes:
    """Which expert each kind of token goes to, and where the strays go."""

    def __init__(self, rng) -> None:
        self.rng = rng
        self.kind_share_CK = rng.lognormal(0, 2, (CLASSES, KINDS))
        self.expert_of = {layer: rng.integers(0, EXPERTS, KINDS) for layer in LAYERS}
        self.stray_to = {layer: rng.permutation(EXPERTS) for layer in LAYERS}

    def draw(self, class_N):
        """Return the experts, shape (N, tokens), of the photos of some classes, by layer."""
        cumulated_NK = self.kind_share_CK[class_N].cumsum(axis=1)
        level_NT = self.rng.random((len(class_N), LAYERS[1])) * cumulated_NK[:, -1:]
        kind_NT = (level_NT[:, :, None] > cumulated_NK[:, None]).sum(axis=2)
        chosen = {}
        for layer, tokens in LAYERS.items():
            kind = kind_NT[:, np.arange(tokens) * LAYERS[1] // tokens]
            stray = self.rng.choice(EXPERTS, kind.shape, p=ZIPF / ZIPF.sum())
            is_stray = self.rng.random(kind.shape) < STRAY
            chosen[layer] = np.where(
                is_stray, self.stray_to[layer][stray], self.expert_of[layer][kind]
            )
        return chosen


def _counted(class_G, group_N, value_of: dict, values: int):
    """Count the tokens of each group, layer and value: their class, layer, value and number."""
    parts = []
    for layer, value_NT in value_of.items():
        flat = (group_N[:, None] * values + value_NT).ravel()
        count_GV = np.bincount(flat, minlength=len(class_G) * values).reshape(-1, values)
        group, value = np.nonzero(count_GV)
        parts.append(np.stack([group, np.full(len(group), layer), value, count_GV[group, value]]))
    found = np.concatenate(parts, axis=1)
    group, *rest = found[:, found[0].argsort(kind="stable")].astype(np.uint64)
    return np.column_stack([class_G[group], *rest])


def _keys(rows_N4) -> dict:
    return {
        "class_index": rows_N4[:, 0].astype(np.int32),
        "split": strings(["val"] * len(rows_N4)),
        "layer": rows_N4[:, 1].astype(np.int32),
    }


def single(value_N):
    """Round as a world does: to what a float32 holds."""
    return value_N.astype(np.float32).astype(np.float64)


def _routing(rng, rows_N4) -> Routing:
    tokens_N = rows_N4[:, 3].astype(np.int64)
    return Routing(
        **_keys(rows_N4),
        expert=rows_N4[:, 2].astype(np.int32),
        tokens=tokens_N,
        loss_rise=single(rng.normal(0, 1e-3, len(tokens_N)) * tokens_N),
        answer_norm=single(rng.lognormal(0, 0.3, len(tokens_N)) * tokens_N),
    )


def _edges(rows_N4) -> Edges:
    earlier_N, later_N = np.divmod(rows_N4[:, 2].astype(np.int32), EXPERTS)
    return Edges(
        **_keys(rows_N4),
        expert=earlier_N,
        next_expert=later_N,
        tokens=rows_N4[:, 3].astype(np.int64),
    )
