"""A training that takes a second: drawn photos in four colours, their manifest, a small recipe."""

import dataclasses

import numpy as np
import pyarrow as pa
from PIL import Image

from homerange.data.manifest import Manifest, schema
from homerange.train.config import TrainConfig
from homerange.train.location_config import LocationConfig

# Scientific name or outcome: common name, colour of its photos, latitude, longitude.
KINDS = {
    "Panthera leo": ("lion", (190, 150, 80), -2.33, 34.83),
    "Equus quagga": ("plains zebra", (120, 120, 125), -2.5, 35.0),
    "Procyon lotor": ("raccoon", (60, 80, 90), 41.88, -87.63),
    "blank": ("", (70, 140, 60), -2.4, 34.9),
}
SPECIES = tuple(name for name in KINDS if name != "blank")
CLASSES = (*sorted(SPECIES), "blank")


def draw_photo(path, colour, *, seed, size=(80, 60), noise=30):
    """A patch of one colour on noise of every colour."""
    rng = np.random.default_rng(seed)
    width, height = size
    rgb_HW3 = rng.normal(np.array(colour), noise, (height, width, 3))
    x, y = int(rng.integers(0, width // 2)), int(rng.integers(0, height // 2))
    rgb_HW3[y : y + height // 3, x : x + width // 3] += rng.normal(0, 60, 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgb_HW3.clip(0, 255).astype(np.uint8)).save(path, quality=90)


def manifest_of(rows, root):
    """A manifest of rows that name only some columns."""
    named = [{"image": f"{i}.jpg", "observation_id": str(i)} | row for i, row in enumerate(rows)]
    return Manifest(pa.Table.from_pylist(named, schema=schema()), root)


def tiny_manifest(folder, *, train=12, val=6, test=7, noise=30, **columns):
    """Draw photos of all kinds in turn and write their manifest.

    Args:
        folder: Where ``photos`` and ``manifest.parquet`` go.
        train, val, test: Photos of each split.
        noise: How much the pixels of a photo differ.
        columns: Values of manifest columns that all rows get.

    Returns:
        The path of the manifest.
    """
    splits = ["train"] * train + ["val"] * val + ["test"] * test
    rows = []
    for i, split in enumerate(splits):
        name = list(KINDS)[i % len(KINDS)]
        common_name, colour, latitude_deg, longitude_deg = KINDS[name]
        draw_photo(folder / "photos" / f"{i}.jpg", colour, seed=i, noise=noise)
        row = {
            "species": name,
            "common_name": common_name or None,
            "latitude_deg": latitude_deg,
            "longitude_deg": longitude_deg,
            "datetime": f"2024-{i % 12 + 1:02}-03T05:06:07",
            "region_id": "chicago" if longitude_deg < 0 else "serengeti",
            "sequence_id": f"burst {i // 2}",
            "split": split,
            "source": "drawn",
            "licence": "CC0-1.0",
        }
        rows.append(row | columns)
    manifest_of(rows, folder / "photos").write(folder / "manifest.parquet")
    return folder / "manifest.parquet"


def tiny_config(**changes):
    """A recipe with all that is random in training: crops, RandAugment, erasing, mixup, dropout."""
    settings = {
        "name": "tiny",
        "start": "none",
        "input_px": 64,
        "fit": "squash",
        "epochs": 2,
        "batch_size": 4,
        "learning_rate": 2e-3,
        "head_learning_rate": 1e-2,
        "weight_decay": 0.01,
        "warmup_epochs": 1.0,
        "warmup_from": 0.1,
        "final_rate": 0.1,
        "crop_scale_min": 0.5,
        "randaugment": 5,
        "erase": 0.5,
        "mixup": 0.4,
        "head_dropout": 0.2,
        "workers": 0,
    }
    return TrainConfig(**(settings | changes))


def tiny_location_config(**changes):
    """That recipe for one epoch, with the location loss in all layers."""
    shared = dataclasses.asdict(tiny_config(epochs=1))
    return LocationConfig(**(shared | changes))


def tiny_teacher(path, *, scale=1.0, pooled=True):
    """An ONNX teacher with three features: the mean of each colour, times ``scale``.

    Unpooled, its features are a map: the photo itself.
    """
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Mul", ["flat" if pooled else "x", "scale"], ["features"]),
    ]
    graph = helper.make_graph(
        nodes,
        "teacher",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, None)],
        [helper.make_tensor("scale", TensorProto.FLOAT, [1], [scale])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path
