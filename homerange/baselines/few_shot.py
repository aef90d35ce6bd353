"""Few-shot specialisation: the head of a dense network cut for a place, then fine-tuned there.

Source: the competitor that the paper cites and does not run, Kuznedelev et al. 2023 (TACO),
arXiv:2303.14409: a general network is compressed and briefly fine-tuned on a few photos of one
task. A place is the task here, and the network has the very bytes of the place package that
``homerange get`` cuts from the same dense network, without any training.

Where we differ, and why: what is cut is the class rows, not single weights, because a file with
zeros in it is no smaller for the runtimes that we serve; there is no distillation from the large
network.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from homerange.baselines.config import BaselineConfig
from homerange.data.manifest import Manifest
from homerange.data.names import OUTCOMES
from homerange.data.photo_list import near, taken_in
from homerange.errors import ConfigError, ManifestError
from homerange.geo.cells import parse_cell
from homerange.geo.place import DEFAULT_RADIUS_KM, Cell, Circle, parse_at
from homerange.model.checkpoint import WEIGHTS, load_checkpoint
from homerange.model.network import Head, SpeciesNetwork
from homerange.train.experts import check_dense
from homerange.train.stage import Stage, Trained, sha256_of, train_stage

__all__ = ["FewShotConfig", "slice_head", "train_few_shot"]


@dataclass(frozen=True, kw_only=True)
class FewShotConfig(BaselineConfig):
    """Settings of the recipe ``few-shot``; the dense checkpoint takes the place of ``start``."""

    system: str = "few-shot"

    place: str = ""
    """``LAT,LON`` in degrees, or an S2 cell by its path, such as ``2/1``."""

    radius_km: float = DEFAULT_RADIUS_KM
    """Around a coordinate."""

    @property
    def area(self) -> Circle | Cell:
        """The place.

        Raises:
            ConfigError: If none is named.
            PlaceError: If it is malformed.
        """
        if not self.place:
            raise ConfigError("no place is named; use --set place=LAT,LON or --set place=2/1")
        if "," in self.place:
            return parse_at(self.place, self.radius_km)
        return Cell(parse_cell(self.place))


def slice_head(network: SpeciesNetwork, class_K: NDArray[np.integer]) -> SpeciesNetwork:
    """Return a network that shares the encoder and the neck, and has the class rows ``class_K``."""
    assert network.head is not None
    rows = network.head.classes
    head = Head(rows.in_features, len(class_K), kind="plain", dropout=network.head.dropout.p)
    head.neck = network.head.neck
    with torch.no_grad():
        head.classes.weight.copy_(rows.weight[class_K])
        head.classes.bias.copy_(rows.bias[class_K])
    return SpeciesNetwork(network.encoder, head)


def train_few_shot(
    manifest: Path,
    output: Path,
    config: FewShotConfig,
    *,
    from_checkpoint: Path,
    resume: bool = False,
) -> Trained:
    """Cut a dense network to the species of a place and fine-tune it on the photos taken there.

    The species are those with a training photo there; outcomes always stay. The epoch is selected
    on the validation photos of these species, wherever they were taken.

    Raises:
        CheckpointError, ConfigError: If the checkpoint is not the dense one of this recipe.
        PlaceError: If the place is malformed, or no training photo was taken there.
        ManifestError: As :func:`homerange.train.stage.train_stage`, or if the checkpoint knows
            none of the species of the place.
    """
    dense, facts = load_checkpoint(from_checkpoint)
    check_dense(from_checkpoint, facts, config)
    area = config.area
    here = near(Manifest.read(manifest).split("train").labelled(), area).strings("species")
    wanted = {*here, *OUTCOMES}
    class_K = np.array([i for i, name in enumerate(facts.classes) if name in wanted], np.int64)
    classes = tuple(name for name in facts.classes if name in wanted)
    kept = set(classes)
    if not kept - set(OUTCOMES):
        raise ManifestError(
            f"{manifest}: {from_checkpoint} knows none of the species photographed here: "
            f"{area.describe()}. Train it on this manifest, or take another place"
        )

    def build(_: tuple[str, ...], __: Manifest) -> SpeciesNetwork:
        """Cut the head."""
        network = slice_head(dense, class_K)
        if network.head is not None:
            network.head.dropout.p = config.head_dropout
        return network

    def photos_that_count(photos: Manifest) -> Manifest:
        """Keep the photos of these classes, and for training only those taken here."""
        known_N = np.array([name in kept for name in photos.strings("species")], bool)
        judged_N = np.array([name != "train" for name in photos.strings("split")], bool)
        return photos.where(known_N & (judged_N | taken_in(photos, area)))

    stage = Stage(
        classes=classes,
        experts=None,
        start=f"dense checkpoint sha256 {sha256_of(from_checkpoint / WEIGHTS)}, head cut",
        build=build,
        photos=photos_that_count,
    )
    return train_stage(manifest, output, config, stage, resume=resume)
