"""What does a place model cost beside what one would pick instead? The same photos, the same run.

    python bench/peers.py --model NAME.homerange --photos photos/

The other is EfficientNetV2-M at 480 px with 2,498 classes, the architecture and size of SpeciesNet,
with random weights (speed, memory and bytes do not depend on them; its detector is left out), put
into a package of our own, so that decoding, batches and runner are the same for both. Each round
measures both with ``homerange bench``; only ratios within a round are a claim.
"""

import argparse
import json
import tempfile
from pathlib import Path

import timm
import torch
from record import spread, write_record
from torch import nn

from homerange.data.images import Preprocessing
from homerange.model.network import pixels_to_input
from homerange.run.bench import Measured, bench
from homerange.world.place_package import PACKAGE_VERSION, write_package

ARCHITECTURE = "tf_efficientnetv2_m"
CLASSES = 2498  # labels of SpeciesNet 4.0.0a
INPUT_PX = 480
RATIOS = ("photos_per_s", "latency_ms", "rss_mb", "model_bytes", "load_ms")


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="a place package")
    parser.add_argument(
        "--photos", type=Path, required=True, help="a folder; a few dozen are enough"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=20, help="of each model, for its latency")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        peer = make_peer(Path(folder) / "peer.homerange")
        rounds = [
            {
                name: bench(path, source=arguments.photos, runs=arguments.runs)
                for name, path in (("place", arguments.model), ("peer", peer))
            }
            for _ in range(arguments.rounds)
        ]
    results = {
        "peer_to_place": {key: spread([ratio(pair, key) for pair in rounds]) for key in RATIOS},
        **{
            name: {key: spread([getattr(pair[name], key) for pair in rounds]) for key in RATIOS}
            for name in ("place", "peer")
        },
    }
    path = write_record(
        "peers",
        "What does a place model cost beside EfficientNetV2-M at 480 px, which SpeciesNet is?",
        results,
        rounds=arguments.rounds,
        runs=arguments.runs,
        photos=rounds[0]["place"].photos,
        peer=f"{ARCHITECTURE} of timm, {CLASSES} classes, {INPUT_PX} px, random weights",
        threads="one for the latency, all cores for photos per second",
    )
    print(json.dumps(results, indent=1), path, sep="\n")


def ratio(pair: dict[str, Measured], key: str) -> float:
    """Return by how much the peer has more of something than the place model."""
    return getattr(pair["peer"], key) / getattr(pair["place"], key)


class FromPixels(nn.Module):
    """Photos as bytes to logits, as our packages have it."""

    def __init__(self) -> None:
        super().__init__()
        self.network = timm.create_model(ARCHITECTURE, num_classes=CLASSES).eval()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return logits (B, C) for photos (B, H, W, 3)."""
        return self.network(pixels_to_input(image))


def make_peer(path: Path) -> Path:
    """Export the other network and put it into a package."""
    torch.manual_seed(0)
    program = torch.onnx.export(
        FromPixels().eval(),
        (torch.zeros(2, INPUT_PX, INPUT_PX, 3, dtype=torch.uint8),),
        dynamo=True,
        input_names=["image"],
        output_names=["logits"],
        dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
        opset_version=20,
        verbose=False,
    )
    labels = [f"Species {i:04}" for i in range(CLASSES)]
    write_package(
        path,
        place={
            "format": "homerange-place",
            "version": PACKAGE_VERSION,
            "name": "efficientnetv2-m",
            "created": "2026-01-01T00:00:00+00:00",
            "homerange": "0",
            "place": {"kind": "list", "species": labels},
            "species": [{"species": label} for label in labels],
            "outcomes": [],
            "labels": labels,
            "experts": {},
            "thresholds": {},
            "preprocessing": Preprocessing(input_px=INPUT_PX, fit="squash").to_json(),
            "graph": {"input": "image", "output": "logits"},
            "parent": {"name": "none", "sha256": ""},
            "figures": {},
        },
        members={
            "model.onnx": program.model_proto.SerializeToString(),
            "labels.txt": "".join(f"{label}\n" for label in labels).encode(),
            "MODEL_CARD.md": b"random weights, for measuring only\n",
            "manifest.toml": b"",
        },
    )
    return path


if __name__ == "__main__":
    main()
