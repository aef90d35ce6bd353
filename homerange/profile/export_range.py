"""The range model of a world as an ONNX graph of its own: coordinates in, scores of species out.

The Space2Vec features are computed inside, in double precision, so that the file needs no code of
ours.

Axes used in this file:
    B  places      F  features of Space2Vec      K  species
"""

import json
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from homerange.errors import CheckpointError
from homerange.geo.coarse import PUBLISHED_LEVEL
from homerange.model.range import RangeFacts, RangeNetwork, load_range
from homerange.world.range_model import RANGE_INPUT, RANGE_OUTPUT, range_metadata
from homerange.world.world import RANGE_FILE

__all__ = ["PublishableRange", "export_range", "load_publishable"]

OPSET = 20


class _FromCoordinates(nn.Module):
    """Latitude and longitude, degrees, double precision, to scores between 0 and 1."""

    def __init__(self, network: RangeNetwork) -> None:
        super().__init__()
        self.network = network
        space2vec = network.spa_enc.spec.space2vec
        self.is_raw = space2vec.encoding == "raw"
        angle_2F = torch.eye(2) if self.is_raw else torch.from_numpy(space2vec.angle_2F)
        self.register_buffer("angle_2F", angle_2F)

    angle_2F: Tensor

    def forward(self, latlon: Tensor) -> Tensor:
        """Return scores (B, K) for places (B, 2)."""
        if self.is_raw:
            feature_BF = torch.stack([latlon[:, 1] / 180, latlon[:, 0] / 90], dim=-1)
        else:
            angle_BF = latlon @ self.angle_2F
            feature_BF = torch.stack([angle_BF.sin(), angle_BF.cos()], dim=-1).flatten(1)
        score_BK: Tensor = self.network(feature_BF.float()).sigmoid()
        return score_BK


@dataclass(frozen=True)
class PublishableRange:
    """A range model of species of a world."""

    network: RangeNetwork
    """In evaluation mode, with a row for each of ``species``."""
    species: tuple[str, ...]
    """In the order of the classes of the world."""
    facts: RangeFacts
    """Of the whole range model."""
    threshold: float | None


def load_publishable(folder: Path, classes: Sequence[str]) -> PublishableRange:
    """Load a range model and keep the species of a world.

    Raises:
        CheckpointError: If it is no range model, is not finished, learnt from records finer than
            what a world may say, or knows no species of the world.
    """
    network, facts = load_range(folder)
    metrics = folder / "metrics.json"
    if not metrics.is_file():
        raise CheckpointError(f"{folder}: has no metrics.json. Train the range model again")
    if facts.finest_level > PUBLISHED_LEVEL:
        raise CheckpointError(
            f"{folder}: learnt from cells of level {facts.finest_level}, which may lead to an "
            f"animal; a world says nothing finer than level {PUBLISHED_LEVEL}. Train again with "
            f"--set finest_level={PUBLISHED_LEVEL}"
        )
    row_of = {name: row for row, name in enumerate(facts.species)}
    known = tuple(name for name in classes if name in row_of)
    if not known:
        raise CheckpointError(
            f"{folder}: knows none of the {len(classes):,} classes of the world, the first of "
            f"which is {classes[0]}. Train a range model on records of these species"
        )
    kept = RangeNetwork(facts.encoder, len(known))
    kept.spa_enc.load_state_dict(network.spa_enc.state_dict())
    with torch.no_grad():
        kept.class_emb.weight.copy_(network.class_emb.weight[[row_of[name] for name in known]])
    threshold = json.loads(metrics.read_text()).get("threshold")
    return PublishableRange(kept.eval(), known, facts, threshold)


def export_range(ranges: PublishableRange, folder: Path) -> None:
    """Write ``range.onnx`` into the folder of a world."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        program = torch.onnx.export(
            _FromCoordinates(ranges.network).eval(),
            (torch.zeros(2, 2, dtype=torch.float64),),
            dynamo=True,
            input_names=[RANGE_INPUT],
            output_names=[RANGE_OUTPUT],
            dynamic_shapes={"latlon": {0: torch.export.Dim("batch")}},
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]  # stack traces: kilobytes that hold paths of this machine
        node.doc_string = ""
    del model.metadata_props[:]
    level = ranges.facts.finest_level
    said = range_metadata(ranges.species, finest_level=level, threshold=ranges.threshold)
    onnx.helper.set_model_props(model, said)
    (folder / RANGE_FILE).write_bytes(model.SerializeToString(deterministic=True))
    onnx.checker.check_model(str(folder / RANGE_FILE))
