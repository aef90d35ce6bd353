"""Two places of a manifest that show what a place does: many species, few of them in common.

Run it to get a line ``name latitude longitude`` per place:
``python -m homerange.data.busy_places manifest.parquet``
"""

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from homerange.data.manifest import Manifest
from homerange.data.names import OUTCOMES
from homerange.errors import HomerangeError, ManifestError
from homerange.geo.cells import cell_ids, to_token

__all__ = ["BusyPlace", "busy_places", "file_names"]

UNNAMED_LEVEL = 4
"""S2 level, about 600 km, that stands in for a region where rows name none."""

POINT_LEVEL = 30
"""S2 level, about 1 cm, that tells two places apart which share a name."""


@dataclass(frozen=True)
class BusyPlace:
    """A region with its most frequent coordinates."""

    name: str
    latitude_deg: float
    longitude_deg: float
    photos: int
    """With coordinates and a species."""
    species: frozenset[str]


def busy_places(manifest: Manifest, *, photos: int = 20) -> tuple[BusyPlace, ...]:
    """Choose the two regions that share the fewest species, then those with the most species.

    Args:
        manifest: The photos.
        photos: Fewest labelled photos that a region should have.

    Returns:
        Two regions, the busier one first. One where fewer than two have that many photos: the
        busiest, however few it has.

    Raises:
        ManifestError: If no photo has both coordinates and a species.
    """
    regions = sorted(_regions(manifest), key=lambda place: -place.photos)
    if not regions:
        raise ManifestError(
            f"none of {len(manifest):,} rows has both coordinates and a species, so there is no "
            "place to make a model for. Import photos with latitude, longitude and species"
        )
    busy = [place for place in regions if place.photos >= photos]
    if len(busy) < 2:
        return (regions[0],)
    pairs = itertools.combinations(busy, 2)
    return min(
        pairs,
        key=lambda pair: (
            len(pair[0].species & pair[1].species),
            -len(pair[0].species | pair[1].species),
        ),
    )


def file_names(places: Sequence[BusyPlace]) -> list[str]:
    """Name a file for each place: its region in plain letters, or its S2 cell.

    The cell is taken where a region has no plain letters, or where two regions would share a name.

    Example:
        >>> lions, unicorns = frozenset(["Panthera leo"]), frozenset(["Equus unicornis"])
        >>> file_names([BusyPlace("Mara / North", -1.4, 35.0, 20, lions),
        ...             BusyPlace("北海道", 43.2, 142.9, 20, unicorns)])
        ['mara-north', '5f73152c506a733d']
    """
    slugs = [re.sub(r"[^A-Za-z0-9-]+", "-", place.name).strip("-").lower() for place in places]
    return [
        slug if slug and slugs.count(slug) == 1 else _cell(place)
        for slug, place in zip(slugs, places, strict=True)
    ]


def _cell(place: BusyPlace) -> str:
    latlon_12 = np.array([[place.latitude_deg, place.longitude_deg]])
    return to_token(int(cell_ids(latlon_12, POINT_LEVEL)[0]))


def _regions(manifest: Manifest) -> list[BusyPlace]:
    latlon_N2 = manifest.latlon_N2()
    points: defaultdict[str, Counter[tuple[float, float]]] = defaultdict(Counter)
    species: defaultdict[str, set[str]] = defaultdict(set)
    rows = zip(manifest.strings("region_id"), manifest.strings("species"), latlon_N2, strict=True)
    for region, name, latlon_2 in rows:
        if name is None or name in OUTCOMES or np.isnan(latlon_2).any():
            continue
        key = region or to_token(int(cell_ids(latlon_2[None], UNNAMED_LEVEL)[0]))
        points[key][(float(latlon_2[0]), float(latlon_2[1]))] += 1
        species[key].add(name)
    return [
        BusyPlace(key, *at.most_common(1)[0][0], at.total(), frozenset(species[key]))
        for key, at in points.items()
    ]


@click.command()
@click.argument("manifest", type=click.Path(path_type=Path))
def main(manifest: Path) -> None:
    """Print name, latitude and longitude of two places of MANIFEST that differ."""
    try:
        places = busy_places(Manifest.read(manifest))
    except HomerangeError as error:
        raise click.ClickException(str(error)) from error
    for name, place in zip(file_names(places), places, strict=True):
        click.echo(f"{name} {place.latitude_deg} {place.longitude_deg}")


if __name__ == "__main__":
    main()
