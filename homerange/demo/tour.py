"""A model for every country: made, proven to be a part of the world, and counted."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from homerange.demo.proof import TOLERANCE, Proof
from homerange.errors import PlaceError
from homerange.geo.countries import Country
from homerange.progress import progress
from homerange.specialize.specialize import specialize
from homerange.world.place_package import read_package
from homerange.world.world import World

__all__ = ["CountryModel", "Tour", "tour"]


@dataclass(frozen=True, kw_only=True)
class CountryModel:
    """What came of one country."""

    country: Country
    species: int
    """Species on its list; 0 where the world has no record that counts there."""
    bytes: int
    """Of the package; 0 without one."""
    difference: float
    """Largest difference of a logit from the same row of the world."""
    seconds: float

    @property
    def made(self) -> bool:
        """Whether there is a package."""
        return self.species > 0

    @property
    def equal(self) -> bool:
        """Whether its answers are those of the world."""
        return self.made and self.difference <= TOLERANCE


@dataclass(frozen=True, kw_only=True)
class Tour:
    """All countries."""

    models: tuple[CountryModel, ...]
    seconds: float

    def describe(self) -> str:
        """Say it in one line: countries, packages proven equal, seconds, MB."""
        made = [one for one in self.models if one.made]
        equal = sum(one.equal for one in made)
        megabytes = sum(one.bytes for one in made) / 1e6
        return (
            f"{len(self.models)} countries, {len(made)} packages, {equal} proven equal to the "
            f"world, {self.seconds:.0f} s, {megabytes:,.0f} MB"
        )


def tour(world: World, countries: Sequence[Country], folder: Path, *, keep: bool = False) -> Tour:
    """Make the package of each country and hold it against the world.

    Args:
        world: An open world.
        countries: Which.
        folder: Where packages go, as ``KEN.homerange``; made if it is absent.
        keep: Keep the packages; each is deleted once it is proven otherwise.

    Raises:
        WorldError: If the world cannot be cut.
        PackageError: If a package cannot be written.
    """
    start = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    proof = Proof.of(world)
    models = []
    with progress("countries", len(countries), unit="countries") as step:
        for country in countries:
            one = _make(world, country, folder, proof, keep=keep)
            models.append(one)
            step(1, f"{country.name}: {_note(one)}")
    if not keep:
        shutil.rmtree(folder)
    return Tour(models=tuple(models), seconds=time.perf_counter() - start)


def _make(
    world: World, country: Country, folder: Path, proof: Proof, *, keep: bool
) -> CountryModel:
    start = time.perf_counter()
    path = folder / f"{country.code}.homerange"
    try:
        made = specialize(world, country, path)
    except PlaceError:  # no record counts there, which is no failure of a tour
        return _model(country, start)
    difference = proof.difference(read_package(path).model, made.table.class_index_K)
    size = path.stat().st_size
    if not keep:
        path.unlink()
    return _model(country, start, species=len(made.table.species), size=size, difference=difference)


def _model(
    country: Country, start: float, *, species: int = 0, size: int = 0, difference: float = 0.0
) -> CountryModel:
    return CountryModel(
        country=country,
        species=species,
        bytes=size,
        difference=difference,
        seconds=time.perf_counter() - start,
    )


def _note(one: CountryModel) -> str:
    if not one.made:
        return "no records in this world"
    equal = "equal to the world" if one.equal else f"DIFFERS by {one.difference:.2g}"
    return f"{one.species} species, {one.bytes / 1e6:.2f} MB, {equal}"
