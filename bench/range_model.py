"""Does Space2Vec help to say which species to expect where? Records in blocks kept aside.

    python bench/range_model.py occurrences.csv.gz --epochs 10

Blocks of about 580 km (S2 level 4) are kept aside whole: a fifth to test, a tenth of the others to
choose by. Compared, all from cells of 36 km:

    frequency       the species with the most training records, wherever one asks
    neighbours      how often a species was recorded among the k nearest training records
    raw             the network of the recipe on the two coordinates
    torchspatial    the same network on Space2Vec with TorchSpatial's radii, 0.005 to 360 degrees
    grid            the same network on Space2Vec with the radii of the recipe

Judged are test records of species with a training record. The rank is that of the true species
among all; equal scores share their ranks. Average precision is that of a species over all test
records, its own being right, and the mean over species. Intervals are from 1,000 bootstraps of
whole blocks, for each seed alone; the seed deals the blocks and draws the first weights.

Axes used in this file:
    N  records      U  cells of test records, each once      M  training records
    C  species      K  neighbours, or blocks                 S  bootstraps
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from record import write_record
from sklearn.metrics import average_precision_score

from homerange.data.importers.occurrences import Records, read_records
from homerange.geo.cells import cell_centre, cell_parent
from homerange.geo.coarse import coarse_cells
from homerange.geo.sphere import great_circle_km
from homerange.model.range import load_range
from homerange.train.range import blocks_kept_aside, train_range
from homerange.train.range_config import RangeConfig

NEIGHBOURS = (10, 30, 100, 300, 1000)
TOP_NAMES = {"top1": 1, "top10": 10, "top100": 100}
BLOCK_LEVEL = 4
NETWORKS = {
    "raw": ["encoding=raw"],
    "torchspatial": ["scales=64", "min_radius_deg=0.005"],
    "grid": [],
}
CHOOSE_ON = 500
"""Records of val by which k is chosen."""
PLACES_AT_ONCE = 200
BOOTSTRAPS = 1000

Score = Callable[[np.ndarray], np.ndarray]
"""From cells (N,) to scores of all species (N, C)."""


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    records = read_records(arguments.table)
    found = {seed: measure(records, arguments.epochs, seed) for seed in arguments.seeds}
    methods = [one["methods"] for one in found.values()]
    means = {
        name: {
            metric: round(float(np.mean([one[name][metric] for one in methods])), 4)
            for metric in ("median_rank", *TOP_NAMES, "mean_reciprocal_rank", "average_precision")
        }
        for name in methods[0]
    }
    write_record(
        "range_model",
        "Does Space2Vec help to say which species to expect where?",
        {"mean_over_seeds": means, "seeds": found},
        epochs=arguments.epochs,
        threads=1,
    )


def measure(records: Records, epochs: int, seed: int) -> dict:
    """Deal blocks, make every method and judge it; the seed is that of both."""
    cell_N = coarse_cells(records.latlon_N2, records.uncertainty_km_N)
    split_N = deal_blocks(cell_N, seed)
    species = np.unique(records.species_N[split_N == "train"])
    class_N = np.searchsorted(species, records.species_N).clip(max=len(species) - 1)
    known_N = species[class_N] == records.species_N
    parts = {name: (split_N == name) & known_N for name in ("train", "val", "test")}
    judge = Judge(cell_N[parts["test"]], class_N[parts["test"]])
    train = (cell_N[parts["train"]], class_N[parts["train"]])
    frequency_C = np.bincount(train[1], minlength=len(species)).astype(float)
    found = {"frequency": judge.metrics(lambda cells: np.tile(frequency_C, (len(cells), 1)))}
    some_N = np.random.default_rng(seed).choice(np.flatnonzero(parts["val"]), CHOOSE_ON)
    val = Judge(cell_N[some_N], class_N[some_N])
    by_k = {k: val.mean_reciprocal_rank(neighbours(*train, frequency_C, k)) for k in NEIGHBOURS}
    k = max(by_k, key=by_k.__getitem__)
    found["neighbours"] = judge.metrics(neighbours(*train, frequency_C, k)) | {"k": k}
    for name, settings in NETWORKS.items():
        chosen = [*settings, f"epochs={epochs}", f"seed={seed}"]
        score, how_long = network(records, split_N, RangeConfig.read("small-range", chosen))
        found[name] = judge.metrics(score) | how_long
    return {
        "methods": found,
        "grid_minus": judge.differences("grid", found),
        "species": len(species),
        "records": {name: int(part.sum()) for name, part in parts.items()},
        "records_of_species_without_training_records": int((~known_N).sum()),
        "blocks": {
            name: len(np.unique(cell_parent(cell_N[part], BLOCK_LEVEL)))
            for name, part in parts.items()
        },
    }


def deal_blocks(cell_N: np.ndarray, seed: int) -> np.ndarray:
    """Keep whole blocks aside: a fifth to test, a tenth of the others to choose by."""
    test = RangeConfig(val_share=0.2, val_block_level=BLOCK_LEVEL, seed=100 + seed)
    val = RangeConfig(val_share=0.1, val_block_level=BLOCK_LEVEL, seed=seed)
    split_N = np.where(blocks_kept_aside(cell_N, test), "test", "train")
    rest = np.flatnonzero(split_N == "train")
    split_N[rest[blocks_kept_aside(cell_N[rest], val)]] = "val"
    return split_N


def neighbours(
    train_cell_M: np.ndarray, train_class_M: np.ndarray, frequency_C: np.ndarray, k: int
) -> Score:
    """Count species among the k nearest training records; equal counts go by frequency."""
    train_M2 = cell_centre(train_cell_M)
    tie_C = 0.5 * frequency_C / frequency_C.max()

    def score(cells: np.ndarray) -> np.ndarray:
        km_NM = great_circle_km(cell_centre(cells)[:, None], train_M2)
        nearest_NK = np.argpartition(km_NM, k, axis=1)[:, :k]
        count_NC = np.zeros((len(cells), len(frequency_C)))
        np.add.at(count_NC, (np.arange(len(cells))[:, None], train_class_M[nearest_NK]), 1.0)
        return count_NC + tie_C

    return score


def network(records: Records, split_N: np.ndarray, config: RangeConfig) -> tuple[Score, dict]:
    """Train the network of a recipe as ``homerange train range`` does; test rows are not read."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "records.csv"
        lines = ["species,latitude,longitude,split"]
        places = records.latlon_N2.tolist()
        for name, place, split in zip(records.species_N, places, split_N, strict=True):
            lines.append(f"{name},{place[0]!r},{place[1]!r},{split}")
        table.write_text("\n".join(lines))
        start = time.monotonic(), time.process_time()
        ranges = train_range(table, Path(folder) / "ranges", config).folder
        took = time.monotonic() - start[0], time.process_time() - start[1]
        model, facts = load_range(ranges)
        log = (ranges / "log.csv").read_text().split()

    def score(cells: np.ndarray) -> np.ndarray:
        feature_NF = torch.from_numpy(facts.encoder.space2vec.encode(cell_centre(cells)))
        with torch.no_grad():
            return model(feature_NF).numpy()

    kept = max(int(line.split(",")[0]) for line in log[1:] if line.endswith(",1"))
    return score, {
        "epochs": config.epochs,
        "epoch_kept": kept,
        "trained_s": round(took[0]),
        "trained_processor_s": round(took[1]),
    }


class Judge:
    """Test records, and how high scores rank their species."""

    def __init__(self, cell_N: np.ndarray, class_N: np.ndarray) -> None:
        self.cell_U, self.cell_of_N = np.unique(cell_N, return_inverse=True)
        self.class_N = class_N
        block_N = cell_parent(cell_N, BLOCK_LEVEL)
        self.block_N = np.unique(block_N, return_inverse=True)[1]

    def scores(self, score: Score) -> np.ndarray:
        """Score each cell once, shape (cells, C)."""
        starts = range(0, len(self.cell_U), PLACES_AT_ONCE)
        parts = [score(self.cell_U[start : start + PLACES_AT_ONCE]) for start in starts]
        return np.concatenate(parts).astype(np.float32)

    def ranks(self, score_UC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Count the species above the true one, and those level with it, itself included."""
        above, level = [], []
        for cell, species in zip(self.cell_of_N, self.class_N, strict=True):
            score_C = score_UC[cell]
            above.append((score_C > score_C[species]).sum())
            level.append((score_C == score_C[species]).sum())
        return np.array(above), np.array(level)

    def mean_reciprocal_rank(self, score: Score) -> float:
        """Return the mean over records of one over the rank."""
        return float(reciprocal(*self.ranks(self.scores(score))).mean())

    def metrics(self, score: Score) -> dict:
        """Measure one method."""
        score_UC = self.scores(score)
        above_N, level_N = self.ranks(score_UC)
        reciprocal_N = reciprocal(above_N, level_N)
        shares = {
            name: np.clip((k - above_N) / level_N, 0, 1).mean() for name, k in TOP_NAMES.items()
        }
        return {
            "median_rank": float(np.median(above_N + (level_N + 1) / 2)),
            **{name: round(float(share), 4) for name, share in shares.items()},
            "mean_reciprocal_rank": round(float(reciprocal_N.mean()), 4),
            "interval": self.interval(reciprocal_N),
            "average_precision": round(self.average_precision(score_UC), 4),
            "_reciprocal_N": reciprocal_N,
        }

    def average_precision(self, score_UC: np.ndarray) -> float:
        """Return the mean over species of their average precision over all test records."""
        return float(
            np.mean(
                [
                    average_precision_score(
                        self.class_N == species, score_UC[self.cell_of_N, species]
                    )
                    for species in np.unique(self.class_N)
                ]
            )
        )

    def interval(self, value_N: np.ndarray) -> list[float]:
        """Return the 95 % interval of a mean over records, from bootstraps of blocks."""
        rng = np.random.default_rng(0)
        sum_K = np.bincount(self.block_N, value_N)
        count_K = np.bincount(self.block_N)
        drawn_SK = rng.integers(len(count_K), size=(BOOTSTRAPS, len(count_K)))
        mean_S = sum_K[drawn_SK].sum(axis=1) / count_K[drawn_SK].sum(axis=1)
        return [round(float(end), 4) for end in np.quantile(mean_S, (0.025, 0.975))]

    def differences(self, name: str, found: dict[str, dict]) -> dict:
        """Compare one method with the others on the same records; forget the single values."""
        value_N = {other: metrics.pop("_reciprocal_N") for other, metrics in found.items()}
        return {
            other: {
                "mean_reciprocal_rank": round(float((value_N[name] - other_N).mean()), 4),
                "interval": self.interval(value_N[name] - other_N),
            }
            for other, other_N in value_N.items()
            if other != name
        }


def reciprocal(above_N: np.ndarray, level_N: np.ndarray) -> np.ndarray:
    """Return the mean of one over the rank, where equal scores share their ranks evenly."""
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, (above_N + level_N).max() + 1))])
    return (harmonic[above_N + level_N] - harmonic[above_N]) / level_N


if __name__ == "__main__":
    main()
