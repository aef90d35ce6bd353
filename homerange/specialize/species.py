"""Which species of a world to expect at a place, and why.

A species is on the list when a record of it counts for the place (``homerange.geo.place.votes``),
when the user's own list names it, or when the user includes it. The verbs ``species`` and ``get``
both call :func:`species_at`, so they cannot disagree.

Axes used in this file:
    N  rows of the table of occurrence     K  classes that are kept
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from homerange.errors import PlaceError
from homerange.geo.place import (
    Cell,
    Circle,
    Place,
    SpeciesList,
    distance_to_cells_km,
    overlaps,
)
from homerange.specialize.names import classes_of, classes_to_add_and_drop
from homerange.specialize.records import Records, count_here, counts_for, distance_band
from homerange.world.occurrences import EXTRA
from homerange.world.tables import COUNT_BANDS, Occurrence, count_band
from homerange.world.world import World

__all__ = ["ExpectedSpecies", "SpeciesTable", "species_at"]

FEW_RECORDS = 30
"""Below this many records in all, a list is probably incomplete and says so."""

_UNKNOWN, _OUTCOME = -1, -2


@dataclass(frozen=True, kw_only=True)
class ExpectedSpecies:
    """One species of a list, with the reason why it stands there."""

    species: str
    """Scientific name."""
    common_name: str
    """Empty where none is known."""
    class_index: int
    """Row of the world's head."""
    reason: str
    strength: int = 0
    """1 (one record) to 5 (101 or more); 0 where it is there without a record."""
    distance_band: str = ""
    """From the middle of the place to the nearest record; empty without a record."""
    records_band: str = ""
    """Number of records; empty without a record."""

    def to_json(self) -> dict[str, object]:
        """Return plain values for ``place.json``."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class SpeciesTable:
    """The species to expect at a place: the strongest first, then by name."""

    place: Place
    species: tuple[ExpectedSpecies, ...]
    outcomes: tuple[str, ...]
    """``blank``, ``person``, ``vehicle``, as far as the world knows them: always kept."""
    labels: tuple[str, ...]
    """Species and outcomes in the order of the world's classes."""
    class_index_K: NDArray[np.int64] = field(repr=False, compare=False)
    """The classes of ``labels``, rising."""
    not_in_world: tuple[str, ...]
    """Species recorded at the place that are no class of the world."""
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Found:
    """What the records, or the user's list, say."""

    by_class: dict[int, ExpectedSpecies]
    not_in_world: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def species_at(
    world: World, place: Place, *, include: Iterable[str] = (), exclude: Iterable[str] = ()
) -> SpeciesTable:
    """List the species of a world to expect at a place.

    Args:
        world: The world.
        place: A circle, an S2 cell, or the user's own list.
        include: Scientific names to add, whatever the records say.
        exclude: Scientific names to leave out.

    Returns:
        The list with a reason for each species.

    Raises:
        PlaceError: If no record counts for the place and nothing is included, or if nothing is
            left after ``exclude``.
        SpeciesError: If a name is not a class of the world, or is both included and excluded.
    """
    added, dropped = classes_to_add_and_drop(world, include, exclude)
    if isinstance(place, SpeciesList):
        named = classes_of(world, place.species, "the list of species")
        found = _Found({c: _expected(world, c, "on your list") for c in named})
    else:
        found = _recorded(world, place, others=len(added))
    by_class = {c: _expected(world, c, "included by you") for c in added} | found.by_class
    kept = [row for c, row in by_class.items() if c not in dropped and not _outcome(world, c)]
    if not kept:
        raise PlaceError(
            f"no species is left for {place.describe()}: {len(by_class)} found, {len(dropped)} "
            "excluded. Exclude fewer, or name others with --include"
        )
    warnings = list(found.warnings)
    if off_anyway := [world.labels[c] for c in dropped if c not in by_class]:
        warnings.append(f"excluded, but not on the list anyway: {', '.join(off_anyway)}")
    return _table(world, place, kept, found.not_in_world, warnings)


def _recorded(world: World, place: Circle | Cell, *, others: int) -> _Found:
    """Find the species with records that count; none is an error unless the user names others."""
    cells = Occurrence.cells(world.path)
    near = cells[overlaps(place, cells)]
    within = "cell IN (SELECT unnest($cells::UBIGINT[]))"
    table = Occurrence.read(world.path, within, {"cells": near.tolist()})
    class_N = _classes(world, table.species)
    here_N = counts_for(place, table.cell, table.uncertainty_km)
    outside = tuple(sorted(set(table.species[here_N & (class_N == _UNKNOWN)].tolist())))
    known_N = here_N & (class_N >= 0)
    if not known_N.any() and not others:
        raise PlaceError(_nothing_here(world, place, outside))
    class_M, cell_M, band_M = class_N[known_N], table.cell[known_N], table.count_band[known_N]
    records = count_here(place, class_M, cell_M, band_M, len(world.labels))
    photographed = set(class_M[table.source[known_N] != EXTRA].tolist())
    found = {
        c: _with_records(world, c, records, photographed=c in photographed)
        for c in np.flatnonzero(records.count_C).tolist()
    }
    return _Found(found, outside, _doubts(place, int(records.count_C.sum()), len(found)))


def _classes(world: World, species_N: NDArray[np.object_]) -> NDArray[np.int64]:
    """Look up the class of each species; outcomes have no range and are none."""
    class_of = {label: c for c, label in enumerate(world.labels)}
    class_of |= dict.fromkeys(world.outcomes, _OUTCOME)
    return np.array([class_of.get(name, _UNKNOWN) for name in species_N.tolist()], np.int64)


def _with_records(world: World, c: int, records: Records, *, photographed: bool) -> ExpectedSpecies:
    strength = int(count_band(records.count_C[c : c + 1])[0])
    band, number = distance_band(float(records.nearest_km_C[c])), COUNT_BANDS[strength - 1]
    where = f"within {band[2:]}" if band.startswith("<") else f"{band} from the middle"
    counted = "1 record" if number == "1" else f"{number} records"
    doubt = "" if photographed else ", none a photo of this world"
    return replace(
        _expected(world, c, f"recorded {where} ({counted}{doubt})"),
        strength=strength,
        distance_band=band,
        records_band=number,
    )


def _expected(world: World, c: int, reason: str) -> ExpectedSpecies:
    common_name = world.taxa.common_name[c] or ""
    return ExpectedSpecies(
        species=world.labels[c], common_name=common_name, class_index=c, reason=reason
    )


def _outcome(world: World, c: int) -> bool:
    return world.labels[c] in world.outcomes


def _table(
    world: World,
    place: Place,
    kept: Sequence[ExpectedSpecies],
    not_in_world: tuple[str, ...],
    warnings: Sequence[str],
) -> SpeciesTable:
    outcome_classes = [c for c in range(len(world.labels)) if _outcome(world, c)]
    classes = sorted([*(row.class_index for row in kept), *outcome_classes])
    return SpeciesTable(
        place=place,
        species=tuple(sorted(kept, key=lambda row: (-row.strength, row.species))),
        outcomes=world.outcomes,
        labels=tuple(world.labels[c] for c in classes),
        class_index_K=np.array(classes, np.int64),
        not_in_world=not_in_world,
        warnings=tuple(warnings),
    )


def _doubts(place: Circle | Cell, records: int, species: int) -> tuple[str, ...]:
    if records >= FEW_RECORDS:
        return ()
    number = f"at least {records}" if records else "no"
    return (
        f"few records: {species} species with {number} records in all, so the list is probably "
        "incomplete. Compare it with a list of the region and add species with --include, or take "
        f"a {_wider(place)}",
    )


def _wider(place: Circle | Cell) -> str:
    return "larger --radius-km" if isinstance(place, Circle) else "coarser cell with --s2"


def _nothing_here(world: World, place: Circle | Cell, outside: Sequence[str]) -> str:
    """Say what was looked for, how near anything came, and what to do."""
    names = [label for label in world.labels if label not in world.outcomes]
    query = "SELECT DISTINCT cell FROM source WHERE species IN (SELECT unnest($names::VARCHAR[]))"
    cell_U = Occurrence.query(world.path, query, {"names": names})["cell"].astype(np.uint64)
    gap_km = float(distance_to_cells_km(place, cell_U).min(initial=np.inf))
    if not len(cell_U):
        near = "the world holds no records of places at all"
    elif gap_km == 0:
        near = "there are records, but their coordinates are less certain than the place is small"
    else:
        near = f"the nearest record of any of them is {distance_band(gap_km)} away"
    others = f". Recorded there, but unknown to the world: {', '.join(outside[:5])}"
    return (
        f"no record counts for {place.describe()}: looked for the {len(names)} species of the "
        f"world {world.description.name!r}; {near}{others if outside else ''}. Take a "
        f"{_wider(place)}, or name the species yourself with --species FILE or --include"
    )
