"""Which species of a world to expect at a place, and why.

A species is on the list when a record of it counts for the place (``homerange.geo.votes``),
when the user's own list names it, or when the user includes it. The verbs ``species`` and ``get``
both call :func:`species_at`, so they cannot disagree.

Axes used in this file:
    N  rows of the table of occurrence     K  classes that are kept     M  months
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from homerange.errors import PlaceError
from homerange.geo.place import Area, Cell, Circle, Place, SpeciesList, Union, areas_of
from homerange.geo.votes import distance_to_cells_km, overlaps, votes_by_area
from homerange.specialize.names import classes_of, classes_to_add_and_drop
from homerange.specialize.records import (
    Records,
    count_here,
    count_months,
    count_records,
    distance_band,
)
from homerange.world.occurrences import EXTRA
from homerange.world.tables import COUNT_BANDS, Occurrence, count_band
from homerange.world.world import World

__all__ = ["ExpectedSpecies", "MissingSpecies", "SpeciesTable", "species_at"]

FEW_RECORDS = 30
"""Below this many records in all, a list is probably incomplete and says so."""

NAMED_IN_A_REASON = 3
"""Of several areas, those that a reason names; the others are counted."""

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
    """From the middle of a circle or a cell to the nearest record; empty without, and elsewhere."""
    records_band: str = ""
    """Number of records; empty without a record."""
    months: tuple[int, ...] = (0,) * 12
    """Strength by month, January first; 0 without a record of that month."""

    def to_json(self) -> dict[str, object]:
        """Return plain values for ``place.json``."""
        return asdict(self) | {"months": list(self.months)}


@dataclass(frozen=True, kw_only=True)
class MissingSpecies:
    """A species that was recorded at a place, but is no class of the world."""

    species: str
    """Scientific name."""
    strength: int
    """1 (one record) to 5 (101 or more)."""
    records_band: str
    """Number of records."""

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
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
    missing: tuple[MissingSpecies, ...]
    """Recorded at the place, but no class of the world; the strongest first, then by name."""
    warnings: tuple[str, ...]

    @property
    def not_in_world(self) -> tuple[str, ...]:
        """The names of ``missing``."""
        return tuple(row.species for row in self.missing)


@dataclass(frozen=True)
class _Found:
    """What the records, or the user's list, say."""

    by_class: dict[int, ExpectedSpecies]
    missing: tuple[MissingSpecies, ...] = ()
    warnings: tuple[str, ...] = ()


def species_at(
    world: World, place: Place, *, include: Iterable[str] = (), exclude: Iterable[str] = ()
) -> SpeciesTable:
    """List the species of a world to expect at a place.

    Args:
        world: The world.
        place: One or several areas, the user's own list, or both.
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
    by_class = {c: _expected(world, c, "included by you") for c in added}
    by_class |= {c: _expected(world, c, "on your list") for c in _listed(world, place)}
    found = _recorded(world, place, others=len(by_class)) if areas_of(place) else _Found({})
    by_class |= found.by_class
    kept = [row for c, row in by_class.items() if c not in dropped and not _outcome(world, c)]
    if not kept:
        raise PlaceError(
            f"no species is left for {place.describe()}: {len(by_class)} found, {len(dropped)} "
            "excluded. Exclude fewer, or name others with --include"
        )
    warnings = list(found.warnings)
    if off_anyway := [world.labels[c] for c in dropped if c not in by_class]:
        warnings.append(f"excluded, but not on the list anyway: {', '.join(off_anyway)}")
    return _table(world, place, kept, found.missing, warnings)


def _listed(world: World, place: Place) -> list[int]:
    listed = place.listed if isinstance(place, Union) else place
    if not isinstance(listed, SpeciesList):
        return []
    return classes_of(world, listed.species, "the list of species")


def _recorded(world: World, place: Place, *, others: int) -> _Found:
    """Find the species with records that count; none is an error unless the user names others."""
    cells = world.record_cells
    near = cells[overlaps(place, cells)]
    within = "cell IN (SELECT unnest($cells::UBIGINT[]))"
    table = Occurrence.read(world.path, within, {"cells": near.tolist()})
    class_N = _classes(world, table.species)
    here_N, areas_of_class = np.zeros(len(class_N), bool), dict[int, list[Area]]()
    for area, votes_N in votes_by_area(place, table.cell, table.uncertainty_km):
        here_N |= votes_N
        for c in np.unique(class_N[votes_N & (class_N >= 0)]).tolist():
            areas_of_class.setdefault(c, []).append(area)
    unknown_N = here_N & (class_N == _UNKNOWN)
    missing = _missing(table.species[unknown_N], table.count_band[unknown_N])
    if not areas_of_class and not others:
        raise PlaceError(_nothing_here(world, place, missing))
    known_N = here_N & (class_N >= 0)
    class_M, cell_M, band_M = class_N[known_N], table.cell[known_N], table.count_band[known_N]
    records = count_here(place, class_M, cell_M, band_M, len(world.labels))
    months_CM = count_months(class_M, table.month[known_N], band_M, len(world.labels))
    photographed = set(class_M[table.source[known_N] != EXTRA].tolist())
    found = {
        c: replace(
            _with_records(world, c, records, place, areas, photographed=c in photographed),
            months=tuple(months_CM[c].tolist()),
        )
        for c, areas in areas_of_class.items()
    }
    return _Found(found, missing, _doubts(place, int(records.count_C.sum()), len(found)))


def _missing(
    species_N: NDArray[np.object_], band_N: NDArray[np.integer]
) -> tuple[MissingSpecies, ...]:
    names, name_N = np.unique(species_N.astype(str), return_inverse=True)
    strengths = count_band(
        count_records(name_N, band_N, np.zeros(len(band_N)), len(names)).count_C
    ).tolist()
    rows = [
        MissingSpecies(species=name, strength=strength, records_band=COUNT_BANDS[strength - 1])
        for name, strength in zip(names.tolist(), strengths, strict=True)
    ]
    return tuple(sorted(rows, key=lambda row: (-row.strength, row.species)))


def _classes(world: World, species_N: NDArray[np.object_]) -> NDArray[np.int64]:
    """Look up the class of each species; outcomes have no range and are none."""
    class_of = {label: c for c, label in enumerate(world.labels)}
    class_of |= dict.fromkeys(world.outcomes, _OUTCOME)
    return np.array([class_of.get(name, _UNKNOWN) for name in species_N.tolist()], np.int64)


def _with_records(
    world: World,
    c: int,
    records: Records,
    place: Place,
    areas: Sequence[Area],
    *,
    photographed: bool,
) -> ExpectedSpecies:
    strength = int(count_band(records.count_C[c : c + 1])[0])
    number, band = COUNT_BANDS[strength - 1], ""
    if isinstance(place, Circle | Cell):
        band = distance_band(float(records.nearest_km_C[c]))
        where = f"within {band[2:]}" if band.startswith("<") else f"{band} from the middle"
    else:
        where = _where(areas)
    counted = "1 record" if number == "1" else f"{number} records"
    doubt = "" if photographed else ", none a photo of this world"
    return replace(
        _expected(world, c, f"recorded {where} ({counted}{doubt})"),
        strength=strength,
        distance_band=band,
        records_band=number,
    )


def _where(areas: Sequence[Area]) -> str:
    """Name the areas in which a species was recorded."""
    named = [
        f"{'' if isinstance(area, Circle) else 'in '}{area.describe()}"
        for area in areas[:NAMED_IN_A_REASON]
    ]
    more = len(areas) - len(named)
    return " and ".join(named) + (f" and {more:,} more places" if more else "")


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
    missing: tuple[MissingSpecies, ...],
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
        missing=missing,
        warnings=tuple(warnings),
    )


def _doubts(place: Place, records: int, species: int) -> tuple[str, ...]:
    if records >= FEW_RECORDS:
        return ()
    number = f"at least {records}" if records else "no"
    return (
        f"few records: {species} species with {number} records in all, so the list is probably "
        "incomplete. Compare it with a list of the region and add species with --include, or take "
        f"a {_wider(place)}",
    )


def _wider(place: Place) -> str:
    if isinstance(place, Circle):
        return "larger --radius-km"
    return "coarser cell with --s2" if isinstance(place, Cell) else "larger place"


def _nothing_here(world: World, place: Place, missing: Sequence[MissingSpecies]) -> str:
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
    outside = ", ".join(row.species for row in missing[:5])
    others = f". Recorded there, but unknown to the world: {outside}"
    return (
        f"no record counts for {place.describe()}: looked for the {len(names)} species of the "
        f"world {world.description.name!r}; {near}{others if missing else ''}. Take a "
        f"{_wider(place)}, or name the species yourself with --species FILE or --include"
    )
