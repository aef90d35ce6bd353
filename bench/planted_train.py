"""Train the networks of planted geography: planets whose animals look different in each region.

    python bench/planted_train.py space2vec.pth.tar -o planets --seeds 0 1 2

Each seed draws a planet of 8 regions and writes its manifest twice: as planted, and with the places
of its photos shuffled within each split, as a control. Stages, at 96 px, all of a chain for the
same number of photos:

    base  a dense network, recipe ``small-data``
    then  it is trained on as it is (``plain``) or with the location loss (``location``)
    last  from there: dense or experts, each with and without any-subset training

The location encoder is one of TorchSpatial's, trained on other species. What no place enters into
is trained once for both geographies. What is finished is not trained again; about an hour and a
half on one core. Then: bench/planted.py.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from findings_train import folder_of, train_on

from homerange.data.importers.table import import_table
from homerange.data.manifest import Manifest, with_column
from homerange.data.synthetic import REGIONS, draw_planet
from homerange.model.checkpoint import WEIGHTS
from homerange.train.config import TrainConfig
from homerange.train.dense import train_dense
from homerange.train.expert_config import ExpertConfig
from homerange.train.experts import train_experts
from homerange.train.location import train_location
from homerange.train.location_config import LocationConfig

SPECIES, PHOTOS_OF_SPECIES = 32, 30
EPOCHS = {"base": 12, "then": 3, "last": 3}
GEOGRAPHIES = ("planted", "shuffled")
SUBSET = ["place_dropout=1.0", "place_radius_km=150", "place_expert_share_min=0.25"]


@dataclass(frozen=True)
class Network:
    """One trained network: what it starts from, and what is special about it."""

    start: str
    settings: tuple[str, ...] = ()
    dense: bool = False
    knows_places: bool = False
    """Whether coordinates enter its training, so that each geography has its own."""


NETWORKS = {
    "dense": Network("plain", dense=True),
    "dense, any subset": Network("plain", tuple(SUBSET), dense=True, knows_places=True),
    "experts": Network("plain"),
    "experts, any subset": Network("plain", tuple(SUBSET), knows_places=True),
    "experts after location": Network("location", knows_places=True),
    "experts after strong location": Network("strong location", knows_places=True),
}
"""``strong location``: the location loss weighs 1, not 0.01 as in the paper, to see whether it can
move anything at all."""
LOCATION_WEIGHTS = {"location": 0.01, "strong location": 1.0}


def main() -> None:
    """Train what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("encoder", type=Path, help="location encoder, as TorchSpatial saves it")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--set", dest="settings", action="append", default=[])
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        planet = Planet(arguments.output, seed, arguments.encoder, arguments.settings)
        for name in arguments.networks:
            for geography in GEOGRAPHIES:
                planet.network(name, geography)


class Planet:
    """The networks of one seed, each in its folder; made when they are asked for."""

    def __init__(
        self, output: Path, seed: int, encoder: Path, settings: Sequence[str] = ()
    ) -> None:
        self.folder, self.seed, self.encoder = output / f"seed{seed}", seed, encoder
        self.settings = ["input_px=96", f"seed={seed}", *settings]
        if not self.manifest("shuffled").is_file():
            self._draw()

    def manifest(self, geography: str) -> Path:
        """Return the manifest of a geography."""
        return self.folder / f"{geography}.parquet"

    def _draw(self) -> None:
        table = draw_planet(
            self.folder,
            species=SPECIES,
            regions=len(REGIONS),
            photos_per_species=PHOTOS_OF_SPECIES,
            seed=self.seed,
        )
        manifest = import_table(table, seed=self.seed).manifest
        manifest.write(self.manifest("planted"))
        shuffled(manifest, self.seed).write(self.manifest("shuffled"))

    def network(self, name: str, geography: str) -> Path:
        """Return the checkpoint of a network, trained if it is not there."""
        network = NETWORKS[name]
        if not network.knows_places:
            geography = "planted"
        start = self.second(network.start, geography)
        folder = self.folder / geography / folder_of(name)
        config = ExpertConfig.read(
            "small-experts", [*self._of("last"), "tokens_max=20000", *network.settings]
        )
        manifest = self.manifest(geography)
        if network.dense:
            return once(folder, lambda: train_on(manifest, folder, config, start))
        return once(folder, lambda: train_experts(manifest, folder, config, from_checkpoint=start))

    def base(self) -> Path:
        """Return the dense network that everything starts from."""
        folder, manifest = self.folder / "base", self.manifest("planted")
        config = TrainConfig.read("small-data", self._of("base"))
        return once(folder, lambda: train_dense(manifest, folder, config))

    def second(self, name: str, geography: str) -> Path:
        """Return the base trained on, as it is or with the location loss."""
        base = self.base()
        if name == "plain":
            folder, manifest = self.folder / "plain", self.manifest("planted")
            config = ExpertConfig.read("small-experts", self._of("then"))
            return once(folder, lambda: train_on(manifest, folder, config, base))
        folder, manifest = self.folder / geography / folder_of(name), self.manifest(geography)
        settings = ["batch_size=32", f"location_weight={LOCATION_WEIGHTS[name]}"]
        config = LocationConfig.read("small-location", [*self._of("then"), *settings])
        return once(
            folder,
            lambda: train_location(
                manifest, folder, config, from_checkpoint=base, encoder=self.encoder
            ),
        )

    def _of(self, stage: str) -> list[str]:
        return [*self.settings, f"epochs={EPOCHS[stage]}"]


def once(folder: Path, train: Callable[[], object]) -> Path:
    """Train into a folder unless that was done."""
    if not (folder / WEIGHTS).is_file():
        train()
    return folder


def shuffled(manifest: Manifest, seed: int) -> Manifest:
    """Give each photo the place of another photo of its split."""
    generator = np.random.default_rng(seed)
    split_N = np.array(manifest.strings("split"))
    order_N = np.arange(len(manifest))
    for split in np.unique(split_N):
        own = np.flatnonzero(split_N == split)
        order_N[own] = generator.permutation(own)
    table = manifest.table
    for column in ("latitude_deg", "longitude_deg", "region_id"):
        table = with_column(table, column, table[column].take(order_N).combine_chunks())
    return Manifest(table, manifest.root)


if __name__ == "__main__":
    main()
