"""Tiny models, packages and photos, all drawn or drawn from seeded noise."""

import io
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from homerange.data.images import Preprocessing
from homerange.world.place_package import write_package

LABELS = ("Panthera leo", "Vulpes vulpes", "Loxodonta africana", "person", "vehicle", "blank")
COMMON = {"Panthera leo": "lion", "Vulpes vulpes": "red fox", "Loxodonta africana": "elephant"}
OUTCOMES = ("blank", "person", "vehicle")
INPUT_PX = 16


def tiny_model(labels=LABELS, *, input_px=INPUT_PX, seed=0, weight_3C=None, **changes):
    """A model that looks at the mean colour of a photo: uint8 NHWC -> logits."""
    if weight_3C is None:
        weight_3C = np.random.default_rng(seed).normal(size=(3, len(labels))) / 20
    # 127: so that dark and light photos differ in sign and not only in size.
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["float", "middle"], ["centred"]),
        helper.make_node("ReduceMean", ["centred", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "weight"], ["logits"]),
    ]
    initializers = [
        numpy_helper.from_array(np.array([127], np.float32), "middle"),
        numpy_helper.from_array(np.array([1, 2], np.int64), "axes"),
        numpy_helper.from_array(np.asarray(weight_3C, np.float32), "weight"),
    ]
    batch = changes.get("batch", "batch")
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [batch, input_px, input_px, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, len(labels)])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def pack(path, *, labels=LABELS, model=None, **place):
    species = [label for label in labels if label not in OUTCOMES]
    write_package(
        path,
        place={
            "format": "homerange-place",
            "version": 1,
            "name": "testland",
            "created": "2026-01-02T03:04:05+00:00",
            "homerange": "0.1.0",
            "place": {
                "kind": "circle",
                "latitude_deg": -2.33,
                "longitude_deg": 34.83,
                "radius_km": 100.0,
            },
            "species": [{"species": s, "common_name": COMMON.get(s, "")} for s in species],
            "outcomes": [label for label in labels if label in OUTCOMES],
            "labels": list(labels),
            "preprocessing": Preprocessing(input_px=INPUT_PX).to_json(),
            "graph": {"input": "image", "output": "logits"},
            **place,
        },
        members={
            "model.onnx": tiny_model(labels) if model is None else model,
            "labels.txt": "".join(f"{label}\n" for label in labels).encode(),
            "MODEL_CARD.md": b"# Testland\n",
            "manifest.toml": b"",
        },
    )
    return path


def photo_bytes(colour, *, size=(40, 30), format="JPEG", mode="RGB", **options):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).convert(mode).save(buffer, format, **options)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def make_package():
    """Function (path, *, labels, model, **place) -> path of a package."""
    return pack


@pytest.fixture(scope="session")
def make_model():
    """Function (labels, *, input_px, seed, weight_3C) -> bytes of an ONNX model."""
    return tiny_model


@pytest.fixture(scope="session")
def make_photo():
    """Function (colour, *, size, format, mode) -> bytes of a photo."""
    return photo_bytes


@pytest.fixture
def package(tmp_path):
    """A package of three species and three outcomes."""
    return pack(tmp_path / "testland.homerange")


@pytest.fixture
def photos(tmp_path):
    """A folder of 21 readable photos of seeded colours, in two folders."""
    folder = tmp_path / "photos"
    colours = np.random.default_rng(7).integers(0, 256, size=(21, 3)).tolist()
    for i, colour in enumerate(colours):
        path = folder / ("north" if i % 3 else "south/deep") / f"IMG_{i:04}.JPG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo_bytes(tuple(colour)))
    return Path(folder)


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "results.json"


@pytest.fixture
def request_(photos, package, out):
    """A request that would work."""
    return {"source": photos, "model": package, "output": out}
