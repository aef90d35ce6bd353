"""How complete is the list of a place, and how long, where nobody has recorded anything yet?

    python bench/list_recall.py occurrences.csv.gz

Blocks of about 580 km (S2 level 4) are kept aside whole, as in ``range_model.py``: a fifth to test,
a tenth of the others to choose thresholds by. A place is a cell of 36 km with a record kept aside;
a record is found if its species is on the list of its place. This is the hardest case: all that a
list knows lies outside the block. Compared are the lists of

    records    species with a training record within a radius of the place
    range      species whose score in the range model reaches a threshold (recipe small-range)
    either     the best of both: a species has the better of its two ranks
    country    species with a training record in a country that the place lies in; no threshold

The threshold that keeps 95 or 99 % of the records is found in the blocks to choose by. Besides,
lists are compared at equal mean length, for which the threshold is that of the test places
themselves, and with records within fixed radii. Judged are records of species with a training
record. Intervals are from 1,000 bootstraps of whole blocks, for each seed alone.

Axes used in this file:
    N  records      U  cells of records, each once      M  training records      C  species
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from range_model import Judge, deal_blocks, network
from record import write_record

from homerange.data.importers.occurrences import Records, read_records
from homerange.geo.cells import cell_centre
from homerange.geo.coarse import coarse_cells
from homerange.geo.countries import all_countries
from homerange.geo.sphere import distance_to_points_km, to_xyz
from homerange.geo.votes import overlaps
from homerange.train.range_config import RangeConfig

KEPT = (0.95, 0.99)
LENGTHS = (50, 100, 300, 1000, 2000)
RADII_KM = (100, 300, 1000, 3000)
PLACES_AT_A_TIME = 500


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    start = time.process_time()
    records = read_records(arguments.table)
    found = {seed: measure(records, arguments.epochs, seed) for seed in arguments.seeds}
    write_record(
        "list_recall",
        "How complete is the list of a place, and how long, where nobody recorded anything yet?",
        {"mean_over_seeds": means([one["lists"] for one in found.values()]), "seeds": found},
        epochs=arguments.epochs,
        threads=1,
        processor_s=round(time.process_time() - start),
    )


def measure(records: Records, epochs: int, seed: int) -> dict:
    """Deal blocks, make the scores of every method and judge its lists."""
    cell_N = coarse_cells(records.latlon_N2, records.uncertainty_km_N)
    split_N = deal_blocks(cell_N, seed)
    species = np.unique(records.species_N[split_N == "train"])
    class_N = np.searchsorted(species, records.species_N).clip(max=len(species) - 1)
    known_N = species[class_N] == records.species_N
    parts = {name: (split_N == name) & known_N for name in ("train", "val", "test")}
    train = cell_N[parts["train"]], class_N[parts["train"]]
    config = RangeConfig.read("small-range", [f"epochs={epochs}", f"seed={seed}"])
    score, _ = network(records, split_N, config)
    places = {name: Lists(cell_N[parts[name]], class_N[parts[name]]) for name in ("val", "test")}
    lists: dict[str, dict] = {}
    found_N: dict[str, np.ndarray] = {}
    scores = {
        name: scores_of(place.judge.cell_U, train, len(species), score)
        for name, place in places.items()
    }
    test = places["test"]
    for method in ("records", "range", "either"):
        score_UC = scores["test"][method]
        lists[method] = {
            f"keeps {kept:.0%}": test.judged(
                score_UC >= places["val"].threshold(scores["val"][method], kept)
            )
            for kept in KEPT
        }
        for length in LENGTHS:
            listed_UC = score_UC >= threshold_for(score_UC, length)
            lists[method][f"about {length} species"] = test.judged(listed_UC)
            found_N[f"{method} {length}"] = test.found(listed_UC).astype(float)
    for radius_km in RADII_KM:
        near_UC = scores["test"]["records"] >= -radius_km
        lists["records"][f"within {radius_km} km"] = test.judged(near_UC)
    lists["country"] = {
        "the country": test.judged(in_country(test.judge.cell_U, train, len(species)))
    }
    return {
        "lists": lists,
        "recall_minus_that_of_records_at_equal_length": {
            method: {
                str(length): test.difference(
                    found_N[f"{method} {length}"], found_N[f"records {length}"]
                )
                for length in LENGTHS
            }
            for method in ("range", "either")
        },
        "species": len(species),
        "records": {name: int(part.sum()) for name, part in parts.items()},
        "test_places": len(test.judge.cell_U),
    }


class Lists:
    """Records kept aside, and how many of them lists hold."""

    def __init__(self, cell_N: np.ndarray, class_N: np.ndarray) -> None:
        self.judge = Judge(cell_N, class_N)

    def found(self, listed_UC: np.ndarray) -> np.ndarray:
        """Return whether the species of each record is on the list of its place."""
        return listed_UC[self.judge.cell_of_N, self.judge.class_N]

    def threshold(self, score_UC: np.ndarray, kept: float) -> float:
        """Return the score that a share of the records reach."""
        score_N = self.found(score_UC)
        return float(np.quantile(score_N, 1 - kept, method="lower"))

    def judged(self, listed_UC: np.ndarray) -> dict:
        """Measure recall and lengths; places count once."""
        found_N = self.found(listed_UC).astype(float)
        length_U = listed_UC.sum(axis=1)
        low, middle, high = np.quantile(length_U, (0.1, 0.5, 0.9))
        return {
            "recall": round(float(found_N.mean()), 4),
            "interval": self.judge.interval(found_N),
            "mean_length": round(float(length_U.mean()), 1),
            "length_10_50_90_percent": [float(low), float(middle), float(high)],
            "empty_lists": int((length_U == 0).sum()),
        }

    def difference(self, one_N: np.ndarray, other_N: np.ndarray) -> dict:
        """Compare two lists on the same records."""
        return {
            "recall": round(float((one_N - other_N).mean()), 4),
            "interval": self.judge.interval(one_N - other_N),
        }


def scores_of(cell_U: np.ndarray, train: tuple, classes: int, score: object) -> dict:
    """Score all species at places, higher for those to expect: by records, range and either."""
    records_UC = -nearest_km(cell_U, *train, classes)
    parts = range(0, len(cell_U), PLACES_AT_A_TIME)
    range_UC = np.concatenate([score(cell_U[at : at + PLACES_AT_A_TIME]) for at in parts])
    either_UC = -np.minimum(ranks(records_UC), ranks(range_UC))
    return {"records": records_UC, "range": range_UC, "either": either_UC}


def nearest_km(
    cell_U: np.ndarray, cell_M: np.ndarray, class_M: np.ndarray, classes: int
) -> np.ndarray:
    """Measure from places to the nearest training record of every species."""
    order_M = np.argsort(class_M, kind="stable")
    first_C = np.searchsorted(class_M[order_M], np.arange(classes))
    train_M3, place_U3 = to_xyz(cell_centre(cell_M[order_M])), to_xyz(cell_centre(cell_U))
    found = [
        np.minimum.reduceat(
            distance_to_points_km(place_U3[at : at + PLACES_AT_A_TIME], train_M3), first_C, axis=1
        )
        for at in range(0, len(cell_U), PLACES_AT_A_TIME)
    ]
    return np.concatenate(found).astype(np.float32)


def ranks(score_UC: np.ndarray) -> np.ndarray:
    """Count, at each place, the species with a higher score, ties in the order of species."""
    order_UC = np.argsort(-score_UC, axis=1, kind="stable")
    rank_UC = np.empty(score_UC.shape, np.float32)
    np.put_along_axis(rank_UC, order_UC, np.arange(score_UC.shape[1], dtype=np.float32)[None], 1)
    return rank_UC


def threshold_for(score_UC: np.ndarray, length: int) -> float:
    """Return the score at which the lists have a mean length."""
    place = score_UC.size - length * len(score_UC)
    return float(np.partition(score_UC, place, axis=None)[place])


def in_country(cell_U: np.ndarray, train: tuple, classes: int) -> np.ndarray:
    """List the species with a training record in a country that a place lies in."""
    cell_M, class_M = train
    listed_UC = np.zeros((len(cell_U), classes), bool)
    for country in all_countries():
        here_U = overlaps(country, cell_U)
        if here_U.any():
            species = np.unique(class_M[overlaps(country, cell_M)])
            listed_UC[np.ix_(here_U, species)] = True
    return listed_UC


def means(seeds: list[dict]) -> dict:
    """Average recall and length over the seeds."""
    return {
        method: {
            name: {
                what: round(float(np.mean([one[method][name][what] for one in seeds])), 4)
                for what in ("recall", "mean_length")
            }
            for name in lists
        }
        for method, lists in seeds[0].items()
    }


if __name__ == "__main__":
    main()
