"""The test photos of a place's species, run through a checkpoint with some of its experts only.

Axes used in this file:
    N  photos      C  classes of the world      K  classes of the place
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from homerange.data.manifest import Manifest
from homerange.data.metrics import majority
from homerange.errors import CheckpointError, ManifestError
from homerange.model.checkpoint import load_checkpoint
from homerange.model.network import SpeciesNetwork
from homerange.profile.expert_sums import expert_layers
from homerange.profile.simulate import Prepared, logits_without, prepare
from homerange.report.sweep import Right
from homerange.specialize.choose import Kept
from homerange.specialize.figures import score
from homerange.specialize.species import SpeciesTable
from homerange.world.description import DropRule
from homerange.world.weights import read_tensor
from homerange.world.world import World

__all__ = ["PlacePhotos", "place_photos"]


@dataclass(frozen=True, eq=False)
class PlacePhotos:
    """Test photos of a place's species, ready to be answered."""

    network: SpeciesNetwork
    prepared: Prepared
    listed_K: NDArray[np.int64]
    """Classes of the place, species and outcomes."""
    rule: DropRule
    unreadable: int
    """Photos that could not be read and are left out."""

    @property
    def commonest(self) -> float:
        """Share of the commonest species: what always answering it would reach."""
        return majority(self.prepared.class_N.tolist())

    def judge(self, kept: Kept) -> Right:
        """Say how right the network is with these experts."""
        logits_NC = logits_without(self.network, self.prepared, kept, rule=self.rule)
        class_N = self.prepared.class_N
        masked_N = self.listed_K[logits_NC[:, self.listed_K].argmax(axis=1)]
        return Right(
            every_class=score(class_N, logits_NC.argmax(axis=1)),
            on_list=score(class_N, masked_N),
        )


def place_photos(
    world: World, table: SpeciesTable, checkpoint: Path, manifest: Path
) -> PlacePhotos:
    """Read the test photos of a place's species; photos of outcomes are not among them.

    Args:
        world: A world with experts.
        table: The species of the place.
        checkpoint: The one that the world was published from.
        manifest: Its photos.

    Raises:
        CheckpointError: If the checkpoint is not that of the world.
        ManifestError: If no test photo of these species is there and can be read.
    """
    network, config = load_checkpoint(checkpoint)
    if different := _difference(network, config.classes, world):
        raise CheckpointError(
            f"{checkpoint}: is not the checkpoint that {world.path} was published from: "
            f"{different}. Give that one, or publish this one with: homerange profile"
        )
    _take_means(network, world)
    named = {row.species for row in table.species}
    test = Manifest.read(manifest).split("test")
    photos = test.where(np.array([name in named for name in test.strings("species")], bool))
    prepared = prepare(network, config, photos) if len(photos) else None
    if prepared is None or not len(prepared.class_N):
        raise ManifestError(
            f"{manifest}: {len(photos):,} test photos of the {len(named):,} species of "
            f"{table.place.describe()}, and none can be read, so nothing can be measured. Take a "
            "larger place, or leave out --checkpoint and --manifest"
        )
    unreadable = len(photos) - len(prepared.class_N)
    return PlacePhotos(network, prepared, table.class_index_K, world.graph.drop_rule, unreadable)


def _take_means(network: SpeciesNetwork, world: World) -> None:
    """Take the mean answers of the experts from the world; a checkpoint does not have them."""
    if world.graph.drop_rule != "mean":
        return
    layers = expert_layers(network)
    for one in world.graph.experts:
        if one.layer in layers:
            mlp, name = layers[one.layer], f"{one.prefix}.mean_ED"
            mlp.mean_ED = mlp.mean_ED.new_tensor(np.array(read_tensor(world.weights_path, name)))


def _difference(network: SpeciesNetwork, classes: tuple[str, ...], world: World) -> str | None:
    """Say in what a checkpoint differs from the one that a world was published from."""
    if network.head is None or classes != world.labels:
        return f"its {len(classes):,} classes are not the {len(world.labels):,} of the world"
    experts = {layer: mlp.experts for layer, mlp in expert_layers(network).items()}
    of_world = {one.layer: one.experts for one in world.graph.experts if one.experts}
    if experts != of_world:
        return f"its experts by layer are {experts}, those of the world {of_world}"
    rows_CD = read_tensor(world.weights_path, world.graph.class_weight)
    if not np.array_equal(rows_CD, network.head.classes.weight.detach().numpy()):
        return "its class rows have other weights"
    return None
