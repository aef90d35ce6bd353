"""The verb ``report experts``: what the experts of one layer look at, drawn.

Three figures, after figures 6 to 8 of the paper, each a PNG with its numbers in a CSV of the same
name: ``patches``, ``class-affinity`` and ``place-affinity``. Validation photos are run.

Axes used in this file:
    N  rows of the manifest      K  locations
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from homerange.data.manifest import Manifest
from homerange.errors import CheckpointError, ConfigError, ManifestError
from homerange.model.checkpoint import CheckpointConfig, load_checkpoint
from homerange.model.network import SpeciesNetwork
from homerange.profile.expert_sums import expert_layers
from homerange.profile.patches import layer_patches
from homerange.profile.place_views import PlaceViews, views_of_encoder, views_of_photos
from homerange.report.affinity import (
    class_table,
    draw_classes,
    draw_places,
    in_order,
    place_table,
)
from homerange.report.canvas import write_figures
from homerange.report.files import Written, make_folder, unreadable_note
from homerange.report.locations import Location, locations_of
from homerange.report.patches import TILES, draw_patches, patches_table, without_people

__all__ = ["draw_experts"]


def draw_experts(
    checkpoint: Path,
    manifest: Path,
    output: Path,
    *,
    layer: int | None = None,
    places: str = "iNat-Geo-10K-6",
    photos_per_class: int = 20,
    encoder: Path | None = None,
    located: Path | None = None,
) -> Written:
    """Draw what the experts of a layer look at; figures of an earlier time are replaced.

    Args:
        checkpoint: A checkpoint with experts.
        manifest: Photos with splits and coordinates; those of ``val`` are run, and where no
            encoder is given those of ``train`` that lie in the locations.
        output: Folder of the figures; made if absent.
        layer: Number of an expert layer; the last one by default.
        places: The locations, as :func:`homerange.report.locations.locations_of` takes them.
        photos_per_class: Most photos of a class that are run; for the locations, of a class and a
            location.
        encoder: The location encoder of the location stage: the folder of a range model, or a
            ``.pth.tar`` file of TorchSpatial.
        located: The checkpoint of the location stage; ``checkpoint`` itself by default.

    Raises:
        CheckpointError: If the checkpoint has no experts, or encoder and projections do not fit.
        ConfigError: If the layer has no experts.
        ManifestError: If there is no photo to run, or a place is none.
        RunError: If the folder or a figure cannot be written.
    """
    network, config = load_checkpoint(checkpoint)
    layer = _layer(checkpoint, network, layer)
    everything = _of_classes(Manifest.read(manifest), config.classes)
    locations = _with_photos(manifest, everything, places)
    photos = without_people(everything.split("val"))
    photos = photos.take(_some_of_each(photos.strings("species"), photos_per_class))
    if not len(photos):
        raise ManifestError(f"{manifest}: no validation photo of a species of {checkpoint}")
    make_folder(output)
    if encoder:
        views = _views_of_encoder(
            everything, locations, network, layer, encoder, located or checkpoint
        )
        how = "a location is the mean of what the location encoder says of its photos"
    else:
        views = _views_of_photos(everything, locations, network, config, layer, photos_per_class)
        how = "a location is the mean patch of its training photos, those of a class itself apart"
    found = layer_patches(network, config, photos, layer=layer, views=views, keep=TILES)
    order = in_order(photos, config.classes, found.photos_C)
    home = _homes(everything, locations, config.classes)
    titles = [one.title for one in locations]
    paths = write_figures(
        {
            "patches": (
                draw_patches(found, photos, config.preprocessing),
                patches_table(found, photos),
            ),
            "class-affinity": (
                draw_classes(found, config.classes, order),
                class_table(found, config.classes, order),
            ),
            "place-affinity": (
                draw_places(found, config.classes, order, titles, home, how=how),
                place_table(found, config.classes, order, titles, home),
            ),
        },
        output,
    )
    bad = len(found.unreadable)
    notes = (unreadable_note(bad, "validation"),) if bad else ()
    return Written(paths=paths, notes=notes, unreadable=bad)


def _layer(checkpoint: Path, network: SpeciesNetwork, layer: int | None) -> int:
    layers = expert_layers(network)
    if not layers:
        raise CheckpointError(
            f"{checkpoint}: has no experts to look at. Make some with: homerange train experts"
        )
    if layer is not None and layer not in layers:
        raise ConfigError(
            f"layer {layer} of {checkpoint} has no experts; expected one of "
            f"{', '.join(map(str, layers))}"
        )
    return max(layers) if layer is None else layer


def _of_classes(photos: Manifest, classes: Sequence[str]) -> Manifest:
    """Return the rows whose class the network knows, and people, who are to be left out later."""
    known = {*classes, "person"}
    return photos.where(np.array([name in known for name in photos.strings("species")], bool))


def _with_photos(path: Path, photos: Manifest, places: str) -> list[Location]:
    found = locations_of(photos, places)
    locations = [one for one in found if one.photos("train")]
    if not locations:
        raise ManifestError(
            f"{path}: no training photo lies in any of the {len(found)} locations {places}. "
            "Name others with --places"
        )
    return locations


def _some_of_each(names: Sequence[object], number: int) -> NDArray[np.int64]:
    """Draw at most so many rows of each name, always the same ones; they rise."""
    order_N = np.random.default_rng(0).permutation(len(names))
    taken: Counter[object] = Counter()
    chosen = []
    for row in order_N.tolist():
        taken[names[row]] += 1
        if taken[names[row]] <= number:
            chosen.append(row)
    return np.array(sorted(chosen), np.int64)


def _views_of_photos(
    photos: Manifest,
    locations: Sequence[Location],
    network: SpeciesNetwork,
    config: CheckpointConfig,
    layer: int,
    number: int,
) -> PlaceViews:
    """Let each location be what some of its training photos look like."""
    place_N = np.full(len(photos), -1)
    for k, location in reversed(list(enumerate(locations))):  # the first, where two overlap
        place_N[location.rows["train"]] = k
    row_N = np.flatnonzero(place_N >= 0)
    species = photos.strings("species")
    pairs = [(place, species[row]) for row, place in zip(row_N, place_N[row_N], strict=True)]
    row_N = row_N[_some_of_each(pairs, number)]
    return views_of_photos(
        network, config, photos.take(row_N), place_N[row_N], places=len(locations), layer=layer
    )


def _views_of_encoder(
    photos: Manifest,
    locations: Sequence[Location],
    network: SpeciesNetwork,
    layer: int,
    encoder: Path,
    located: Path,
) -> PlaceViews:
    """Let each location be what the location encoder says of its training photos' coordinates."""
    latlon_N2 = photos.latlon_N2()
    latlon = [latlon_N2[one.rows["train"] & ~np.isnan(latlon_N2).any(axis=1)] for one in locations]
    channels = expert_layers(network)[layer].channels
    return views_of_encoder(latlon, encoder=encoder, located=located, channels=channels)


def _homes(
    photos: Manifest, locations: Sequence[Location], classes: Sequence[str]
) -> dict[int, int]:
    """Find the location with most training photos of each class; the first of equal ones."""
    species_N = np.array(photos.strings("species"))
    counts = [Counter(species_N[one.rows["train"]].tolist()) for one in locations]
    homes = {}
    for c, name in enumerate(classes):
        photos_K = [count[name] for count in counts]
        if max(photos_K):
            homes[c] = photos_K.index(max(photos_K))
    return homes
