"""A small world that obeys the contract, made without torch: real species, real places.

The network is one convolution, a pooling and the class rows, with random numbers. Its evidence is
drawn near each class's row, so that answers are mostly right but not always.
"""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from safetensors.numpy import save_file

from homerange.data.images import Preprocessing
from homerange.geo.cells import cell_ids
from homerange.geo.place import Circle
from homerange.world.description import Architecture, Description, Graph, Licence, Provenance
from homerange.world.parquet import strings
from homerange.world.tables import Evidence, Occurrence, Profile, Taxa, count_band
from homerange.world.weights import read_header
from homerange.world.world import seal_world

SERENGETI = Circle(-2.33, 34.83, 100.0)
CHICAGO = Circle(41.88, -87.63, 100.0)
TAVEUNI = Circle(-16.8, 179.98, 100.0)  # an island on the dateline
NORTH_POLE = Circle(90.0, 0.0, 300.0)
EMPTY_OCEAN = Circle(-45.0, -120.0, 100.0)

# Scientific name, common name, order, where it was recorded (latitude, longitude).
SPECIES = [
    ("Panthera leo", "lion", "Carnivora", [(-2.33, 34.83), (-2.9, 35.2)]),
    ("Procyon lotor", "raccoon", "Carnivora", [(41.88, -87.63), (42.2, -88.0)]),
    ("Pteropus samoensis", "Samoan flying fox", "Chiroptera", [(-16.8, 179.95), (-16.8, -179.9)]),
    ("Ursus maritimus", "polar bear", "Carnivora", [(89.5, 10.0), (89.2, -170.0)]),
    ("Loxodonta africana", "African elephant", "Proboscidea", [(-2.1, 34.6)]),
    ("Odocoileus virginianus", "white-tailed deer", "Artiodactyla", [(41.7, -87.9)]),
    ("Acinonyx jubatus", "cheetah", "Carnivora", [(-2.5, 34.9)]),
    ("Sciurus carolinensis", "", "Rodentia", [(41.9, -87.7)]),
]
HEADS = ("gemm", "gemm columns", "matmul", "transpose")


def build_world(
    folder,
    *,
    classes=10,
    outcomes=("blank",),
    features=8,
    input_px=16,
    head="gemm",
    records=4,
    test_photos=5,
    seed=0,
    occurrence=None,
    evidence=None,
):
    """Write a world.

    Args:
        folder: Where; made if absent.
        classes: Number of classes C, outcomes included.
        outcomes: Stand after the first species, so that class order is not the order of names.
        features: D.
        input_px: Side of the input.
        head: One of ``HEADS``: how the class rows stand in the graph.
        records: Records of each species at each of its places.
        test_photos: Test photos of each class; half as many validation photos.
        seed: Of all random numbers.
        occurrence, evidence: Tables to write instead of the drawn ones.

    Returns:
        The folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    rows = species_rows(classes - len(outcomes), rng)
    rows[1:1] = [(name, "", "", []) for name in outcomes]
    tensors = draw_tensors(rng, classes, features, head)
    write_network(folder, tensors, input_px=input_px, head=head)
    if evidence is None:
        evidence = draw_evidence(rng, rows, tensors, test_photos, head)
    draw_taxa(rows, evidence).write(folder)
    (draw_occurrence(rng, rows, records) if occurrence is None else occurrence).write(folder)
    evidence.write(folder)
    count_answers(evidence, tensors, head).write(folder)
    seal_world(folder, describe(folder, rows, features, input_px))
    return folder


def reseal(folder, **changes):
    """Give ``world.json`` the hashes of the files as they are now, so that only content differs."""
    folder = Path(folder)
    content = json.loads((folder / "world.json").read_text())
    for key in ("format", "version", "files"):
        del content[key]
    return seal_world(folder, Description.from_json(content | changes))


def species_rows(count, rng):
    """Real species first, then invented ones at random places of the sphere."""
    rows = list(SPECIES[:count])
    for i in range(len(rows), count):
        latitude = float(np.degrees(np.arcsin(rng.uniform(-1, 1))))
        rows.append((f"Fictus species{i:04}", "", "Rodentia", [(latitude, rng.uniform(-180, 180))]))
    return rows


def draw_tensors(rng, classes, features, head):
    """All float weights, by name. The class rows lie as the kind of head wants them."""
    weight_CD = rng.normal(size=(classes, features)).astype(np.float32)
    return {
        "stem.weight": rng.normal(size=(features, 3, 3, 3)).astype(np.float32) / 3,
        "stem.bias": rng.normal(size=features).astype(np.float32) / 3,
        "scale": np.array([1 / 255], np.float32),
        "head.classes.weight": np.ascontiguousarray(rows_to_head(weight_CD, head)),
        "head.classes.bias": rng.normal(size=classes).astype(np.float32) / 10,
    }


def rows_to_head(weight_CD, head):
    """Turn class rows into the layout of a kind of head, and back."""
    return weight_CD.T if head in ("gemm columns", "matmul") else weight_CD


def write_network(folder, tensors, *, input_px=16, head="gemm", extra_nodes=()):
    """Write ``graph.onnx`` and ``weights.safetensors``: the graph points into the weights."""
    save_file(tensors, folder / "weights.safetensors")
    model = network(tensors, input_px, head, extra_nodes)
    for name, stored in read_header(folder / "weights.safetensors").items():
        initializer = TensorProto(
            name=name,
            dims=stored.shape,
            data_type=TensorProto.FLOAT,
            data_location=TensorProto.EXTERNAL,
        )
        facts = (stored.offset_bytes, stored.size_bytes)
        for key, value in zip(("location", "offset", "length"), (folder, *facts), strict=True):
            text = "weights.safetensors" if key == "location" else str(value)
            initializer.external_data.add(key=key, value=text)
        model.graph.initializer.append(initializer)
    (folder / "graph.onnx").write_bytes(model.SerializeToString())


def network(tensors, input_px, head, extra_nodes=()):
    """Photos -> convolution -> pooling -> class rows; with the traces that exporters leave."""
    classes = len(tensors["head.classes.bias"])
    nodes = [
        helper.make_node("Cast", ["image"], ["bytes"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["bytes", "scale"], ["unit"]),
        helper.make_node("Transpose", ["unit"], ["channels"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "Conv",
            ["channels", "stem.weight", "stem.bias"],
            ["stem"],
            strides=[2, 2],
            pads=[1, 1, 1, 1],
            doc_string="/home/somebody/train.py, line 7",
        ),
        helper.make_node("Relu", ["stem"], ["active"]),
        helper.make_node("GlobalAveragePool", ["active"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        *head_nodes(head),
        *extra_nodes,
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", input_px, input_px, 3])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", classes])
    graph = helper.make_graph(nodes, "fake", [image], [logits])
    graph.value_info.append(
        helper.make_tensor_value_info("product", TensorProto.FLOAT, ["n", classes])
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def head_nodes(head):
    """The class rows, as the kinds of exporters write them."""
    weight, bias = "head.classes.weight", "head.classes.bias"
    if head in ("gemm", "gemm columns"):
        flip = int(head == "gemm")
        return [helper.make_node("Gemm", ["features", weight, bias], ["logits"], transB=flip)]
    nodes, factor = [], weight
    if head == "transpose":
        nodes, factor = [helper.make_node("Transpose", [weight], ["turned"], perm=[1, 0])], "turned"
    nodes.append(helper.make_node("MatMul", ["features", factor], ["product"]))
    return [*nodes, helper.make_node("Add", ["product", bias], ["logits"])]


def draw_evidence(rng, rows, tensors, test_photos, head):
    """Features near each class's row, at the places of its species."""
    weight_CD = rows_to_head(tensors["head.classes.weight"], head)
    split_of = ["test"] * test_photos + ["val"] * (test_photos // 2)
    class_N = np.repeat(np.arange(len(rows), dtype=np.int32), len(split_of))
    noise_ND = rng.normal(size=(len(class_N), weight_CD.shape[1]))
    latlon = [
        (rows[c][3] or [(0.0, 0.0)])[i % max(len(rows[c][3]), 1)] for i, c in enumerate(class_N)
    ]
    cell_N = cell_ids(np.array(latlon).reshape(-1, 2), 8)
    cell_N[[not rows[c][3] for c in class_N]] = 0
    return Evidence(
        class_index=class_N,
        cell=cell_N,
        split=strings(split_of * len(rows)),
        sequence=np.arange(len(class_N), dtype=np.int32) // 2,
        source=strings(["fake photos"] * len(class_N)),
        feature=(weight_CD[class_N] + 0.7 * noise_ND).astype(np.float16),
    )


def draw_taxa(rows, evidence):
    """The classes, in the order of ``rows``."""
    photos = {
        split: np.bincount(
            evidence.class_index[evidence.split == split], minlength=len(rows)
        ).astype(np.int32)
        for split in ("val", "test")
    }
    return Taxa(
        class_index=np.arange(len(rows), dtype=np.int32),
        species=strings(row[0] for row in rows),
        common_name=strings(row[1] or None for row in rows),
        taxon_class=strings("Mammalia" if row[2] else None for row in rows),
        taxon_order=strings(row[2] or None for row in rows),
        taxon_family=strings(None for _ in rows),
        taxon_genus=strings(row[0].split()[0] if row[2] else None for row in rows),
        photos_train=photos["test"] * 5,
        photos_val=photos["val"],
        photos_test=photos["test"],
    )


def records_of(*rows, source="train"):
    """Build a table of records: (species, latitude, longitude, band, uncertainty in km)."""
    return Occurrence(
        species=strings(row[0] for row in rows),
        cell=cell_ids(np.array([row[1:3] for row in rows], np.float64).reshape(-1, 2), 8),
        month=np.zeros(len(rows), np.int8),
        source=strings(source for _ in rows),
        uncertainty_km=np.array([row[4] for row in rows], np.float32),
        count_band=np.array([row[3] for row in rows], np.int8),
    )


def draw_occurrence(rng, rows, records):
    """``records`` records at each place of each species, in level 8 cells."""
    places = [(row[0], *latlon) for row in rows for latlon in row[3] if records]
    latlon_N2 = np.array([place[1:] for place in places], np.float64).reshape(-1, 2)
    return Occurrence(
        species=strings(place[0] for place in places),
        cell=cell_ids(latlon_N2, 8),
        month=rng.integers(0, 13, len(places)).astype(np.int8),
        source=strings(rng.choice(["train", "val"], len(places)).tolist()),
        uncertainty_km=np.zeros(len(places), np.float32),
        count_band=count_band(np.full(len(places), records)),
    )


def count_answers(evidence, tensors, head):
    """The profile that belongs to the evidence, one row for each photo's class, cell and split."""
    weight_CD = rows_to_head(tensors["head.classes.weight"], head)
    logits_NC = evidence.feature.astype(np.float32) @ weight_CD.T + tensors["head.classes.bias"]
    own_N1 = np.take_along_axis(logits_NC, evidence.class_index[:, None].astype(int), axis=1)
    rank_N = (logits_NC > own_N1).sum(axis=1)
    loss_N = np.log(np.exp(logits_NC - own_N1).sum(axis=1))
    groups = {}
    keys = zip(evidence.class_index, evidence.cell, evidence.split, strict=True)
    for i, key in enumerate(keys):
        groups.setdefault(key, []).append(i)
    names = sorted(groups)
    return Profile(
        class_index=np.array([name[0] for name in names], np.int32),
        cell=np.array([name[1] for name in names], np.uint64),
        split=strings(name[2] for name in names),
        photos=np.array([len(groups[name]) for name in names], np.int32),
        correct=np.array([(rank_N[groups[name]] == 0).sum() for name in names], np.int32),
        correct_top5=np.array([(rank_N[groups[name]] < 5).sum() for name in names], np.int32),
        loss_sum=np.array([loss_N[groups[name]].sum() for name in names], np.float64),
    )


def describe(folder, rows, features, input_px):
    """What ``world.json`` says."""
    return Description(
        name=folder.name,
        created="2026-01-02T03:04:05+00:00",
        homerange="0.1.0",
        architecture=Architecture(
            backbone="fake",
            head="plain",
            expert_layers=(),
            feature_size=features,
            classes=len(rows),
        ),
        preprocessing=Preprocessing(input_px=input_px),
        graph=Graph(
            input="image",
            output="logits",
            class_weight="head.classes.weight",
            class_bias="head.classes.bias",
            experts=(),
            drop_rule="reroute",
        ),
        parameters=0,
        macs=0,
        provenance=Provenance(
            recipe="fake",
            start="none",
            seed=0,
            photos={"train": 50, "val": 2, "test": 5},
            sources={"fake photos": 57},
        ),
        licence=Licence(weights="CC0-1.0", rows={"CC0-1.0": 57}),
        metrics={"split": "test"},
    )


def load_external(folder):
    """The world's graph with its weights inside, as ONNX itself loads it."""
    return onnx.load(Path(folder) / "graph.onnx", load_external_data=True)
