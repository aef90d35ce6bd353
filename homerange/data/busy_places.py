"""Two places of a manifest that show what a place does: many species, few of them in common.

Run it to get a line ``name latitude longitude`` per place:
``python -m homerange.data.busy_places manifest.parquet``
"""

import itertools
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from homerange.data.manifest import Manifest
from homerange.data.names import OUTCOMES
from homerange.geo.cells import cell_ids, to_token

__all__ = ["BusyPlace", "busy_places"]

UNNAMED_LEVEL = 4
"""S2 level, about 600 km, that stands in for a region where rows name none."""


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
        photos: Fewest labelled photos that a region must have.

    Returns:
        Two regions, the busier one first; one or none where there are no more.
    """
    regions = [place for place in _regions(manifest) if place.photos >= photos]
    if len(regions) < 2:
        return tuple(regions)
    pairs = itertools.combinations(sorted(regions, key=lambda place: -place.photos), 2)
    return min(
        pairs,
        key=lambda pair: (
            len(pair[0].species & pair[1].species),
            -len(pair[0].species | pair[1].species),
        ),
    )


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
    for place in busy_places(Manifest.read(manifest)):
        name = re.sub(r"[^A-Za-z0-9-]+", "-", place.name).strip("-").lower()
        click.echo(f"{name} {place.latitude_deg} {place.longitude_deg}")


if __name__ == "__main__":
    main()
