"""Train a range model: which species to expect where, from records of species alone.

A record becomes its S2 cell before anything is learnt from it, as coarse as what a world publishes.

Axes used in this file:
    N  records
"""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from homerange.data.importers.occurrences import Records, read_records
from homerange.data.manifest import Refused
from homerange.errors import ConfigError, ManifestError
from homerange.geo.cells import cell_level, cell_parent
from homerange.geo.coarse import coarse_cells
from homerange.model.range import RangeFacts, RangeNetwork, read_range_facts
from homerange.train.augment import seeded
from homerange.train.range_config import RangeConfig
from homerange.train.range_loop import CellRecords, fit_range
from homerange.train.stage import sha256_of
from homerange.train.state import check_output

__all__ = ["TrainedRange", "blocks_kept_aside", "divide", "train_range"]


@dataclass(frozen=True)
class TrainedRange:
    """What the training of a range model left behind."""

    folder: Path
    species: tuple[str, ...]
    records: int
    refused: list[Refused]


def train_range(
    table: Path, output: Path, config: RangeConfig, *, resume: bool = False
) -> TrainedRange:
    """Train a range model on a table of records and write it as a folder.

    Args:
        table: Records of species, as :func:`homerange.data.importers.occurrences.read_records`
            takes them; a manifest is one. Rows of split test are not looked at.
        output: Folder of the range model; made if absent.
        config: The recipe.
        resume: Go on from the last saved state in ``output``.

    Raises:
        ManifestError: If the table cannot be read or holds no record to learn from.
        CheckpointError: If ``output`` holds a checkpoint already and ``resume`` is not asked for,
            or ``resume`` is asked for and there is no state.
        ConfigError: If the state to resume was made with another recipe or table.
    """
    check_output(output, table, config, resume=resume)
    digest = sha256_of(table)
    if resume and read_range_facts(output).provenance.get("records_sha256") != digest:
        raise ConfigError(
            f"cannot resume: {table} is not the table that {output} was trained on. Use that one, "
            "or train into another folder"
        )
    records = read_records(table)
    species, train, val = divide(records, config)
    if len(train) == 0:
        raise ManifestError(f"{table}: no record to learn from; all are of split val or test")
    output.mkdir(parents=True, exist_ok=True)
    facts = RangeFacts(
        encoder=config.spec,
        species=species,
        finest_level=config.finest_level,
        recipe=asdict(config),
        provenance={
            "records_sha256": digest,
            "records": {"train": len(train), "val": len(val)},
            "licences": dict(Counter(records.licence_N[records.split_N != "test"].tolist())),
        },
    )
    facts.write(output)
    with seeded(config.seed):
        network = RangeNetwork(config.spec, len(species))
    fit_range(network, train, val, config, output, resume=resume)
    return TrainedRange(output, species, len(train), records.refused)


def divide(
    records: Records, config: RangeConfig
) -> tuple[tuple[str, ...], CellRecords, CellRecords]:
    """Divide records into those to learn from and those to choose the epoch by.

    By the table's splits where it has some, else by blocks: S2 cells that are kept aside whole,
    because records beside each other are nearly copies.

    Returns:
        The species, in alphabetical order: those with a record to learn from; the records to learn
        from; and those kept aside, of these species.
    """
    cell_N = coarse_cells(records.latlon_N2, records.uncertainty_km_N, finest=config.finest_level)
    split_N = records.split_N
    if not (split_N != "").any():
        kept_N = blocks_kept_aside(cell_N, config)
        split_N = np.where(kept_N, "val", "train")
    train_N = split_N == "train"
    species = np.unique(records.species_N[train_N])
    known_N = np.isin(records.species_N, species)
    parts = []
    for chosen_N in (train_N, (split_N == "val") & known_N):
        class_N = np.searchsorted(species, records.species_N[chosen_N])
        parts.append(CellRecords(cell_N[chosen_N], class_N))
    return tuple(species.tolist()), parts[0], parts[1]


def blocks_kept_aside(cell_N: NDArray[np.uint64], config: RangeConfig) -> NDArray[np.bool_]:
    """Choose blocks at random and say which records lie in one; a vaguer record lies in none."""
    fine_N = cell_level(cell_N) >= config.val_block_level
    block_N = np.zeros(len(cell_N), np.uint64)
    block_N[fine_N] = cell_parent(cell_N[fine_N], config.val_block_level)
    blocks = np.unique(block_N[fine_N])
    drawn = np.random.default_rng(config.seed).permutation(blocks)
    return np.isin(block_N, drawn[: round(config.val_share * len(blocks))]) & fine_N
