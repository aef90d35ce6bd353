"""Import data sets of LILA BC: its list of photos, and the photos where they are wanted.

Source: the list, and https://lila.science/taxonomy-mapping-for-camera-trap-data-sets about it.

What we decide:
    - the taxon that LILA maps a label to is the species, or the group (``Aves``) where the label is
      no species; a label without a taxon is an outcome, if its word means one, else unlabelled;
    - LILA has no coordinates of cameras. A photo gets those of its area with the uncertainty of
      that area (``lila_data_sets.py``), or those that the user gives; else none;
    - photos that show people are left out unless asked for: LILA withholds most of them;
    - a photo that is downloaded is made smaller and loses its EXIF. One that did not come is
      refused with the reason; without ``download`` the manifest holds addresses;
    - rows are counted as in the list.
"""

import csv
import difflib
import hashlib
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from homerange.data.download import fetch_file
from homerange.data.fetch_photos import RemotePhoto, fetch_photos
from homerange.data.importers import Imported, complete, read_cells
from homerange.data.importers.lila_data_sets import LilaPlace, licence_of, place_of, plain_name
from homerange.data.importers.lila_list import Choice, LilaList
from homerange.data.manifest import Refused
from homerange.data.names import class_key, outcome
from homerange.data.times import read_time
from homerange.errors import ConfigError, ManifestError
from homerange.output import writing

__all__ = ["LIST_URL", "import_lila"]

LIST_URL = "https://lila.science/public/lila_image_urls_and_labels.csv.zip"
LIST_MAX_BYTES = 8 * 10**9
"""Ten times what the list has today."""
_URLS = ("url_gcp", "url_aws", "url_azure")
_RANKS = ("class", "order", "family", "genus")
_PLACE_NEEDED = ("data_set", "latitude", "longitude")
_PLACE_OPTIONAL = ("uncertainty_m", "location", "region")
_TIME = re.compile(r"(\d{2})-(\d{2})-(\d{4}) (\d{2}:\d{2}:\d{2})")
_NO_VALUE = {"", "unknown", "nan", "none"}

_Columns = Mapping[str, Sequence[str]]


def import_lila(
    folder: Path,
    data_sets: Sequence[str],
    *,
    species: Sequence[str] = (),
    per_species: int | None = None,
    most: int | None = None,
    download: bool = False,
    places: Path | None = None,
    seed: int = 0,
    list_url: str = LIST_URL,
) -> Imported:
    """Import photos of LILA BC.

    Args:
        folder: Where LILA's list is kept, and the photos under ``photos/``. What is there is not
            fetched again, so the same call goes on where it was interrupted.
        data_sets: Names of data sets in the list.
        species: Scientific names or outcomes; all but people where empty.
        per_species: At most so many photos of each species.
        most: At most so many photos in all.
        download: Whether to fetch the photos; else the manifest holds their addresses.
        places: CSV with ``data_set``, ``latitude``, ``longitude``, and if wanted ``uncertainty_m``,
            ``location`` (the beginning of location ids) and ``region``: what the user knows better.
        seed: Seed of the splits, and of the choice.
        list_url: Where the list is: LILA, or a mirror of it.

    Returns:
        The manifest, the refused rows and notes.

    Raises:
        ConfigError: If photos are to be downloaded without a bound.
        ManifestError: If the list is damaged, a data set or species is not in it, or no photo can
            be used.
        DownloadError: If the list or all of the photos cannot be fetched.
        ExtraNotInstalled: If DuckDB is absent.
    """
    if download and per_species is None and most is None:
        raise ConfigError(
            "downloading needs a bound: LILA has millions of photos. Say how many, with "
            "--per-species or --most"
        )
    own_places = () if places is None else _read_places(places)
    source = _list(folder, list_url)
    with writing(folder, ManifestError):
        temporary = tempfile.TemporaryDirectory(prefix=".homerange-", dir=folder)
    with temporary as spill, LilaList.open(source, data_sets, Path(spill)) as listed:
        _check_names("data set of LILA's list is named", data_sets, listed.data_sets, plain_name)
        labels = {label: _species(*label) for label in listed.labels()}
        keys = _class_keys(species, labels.values())
        choice = Choice(species=keys, per_species=per_species, photos=most, seed=seed)
        chosen = listed.choose(choice, labels)
        notes = _list_notes(listed, chosen, people_left_out=not keys)
    return _complete(chosen, source, folder, own_places, notes, download=download, seed=seed)


def _complete(
    chosen: _Columns,
    source: Path,
    folder: Path,
    own_places: Sequence[LilaPlace],
    notes: list[str],
    *,
    download: bool,
    seed: int,
) -> Imported:
    """Fetch the photos where that is wanted, and turn the rows of the list into a manifest."""
    photos = {
        name: _photo(name, urls, folder)
        for name, *urls in zip(*(chosen[one] for one in ("image_id", *_URLS)), strict=True)
    }
    problems = fetch_photos(list(photos.values())) if download else {}
    images = [
        photo.path.relative_to(folder).as_posix() if download else next(iter(photo.urls), "")
        for photo in (photos[name] for name in chosen["image_id"])
    ]
    came = [photos[name].path not in problems for name in chosen["image_id"]]
    refused = [
        Refused(int(row), image, problems[photos[name].path])
        for row, image, name, ok in zip(
            chosen["row"], images, chosen["image_id"], came, strict=True
        )
        if not ok
    ]
    kept = {n: [one for one, ok in zip(c, came, strict=True) if ok] for n, c in chosen.items()}
    row = [int(number) for number in kept["row"]]
    columns = _columns(kept, own_places, row, notes)
    columns["image"] = [image for image, ok in zip(images, came, strict=True) if ok]
    return complete(
        columns, source=source, photos=folder, row=row, refused=refused, notes=notes, seed=seed
    )


def _list(folder: Path, url: str) -> Path:
    """Return LILA's list; download it where neither the zip nor its content is in the folder."""
    zipped = folder / Path(urlsplit(url).path).name
    plain = zipped.with_suffix("")
    if zipped.suffix == ".zip" and plain.is_file():
        return plain
    fetch_file(url, zipped, max_bytes=LIST_MAX_BYTES)
    return zipped


def _photo(image_id: str, urls: Sequence[str], folder: Path) -> RemotePhoto:
    """Say where a photo is and goes; a name on a server cannot lead out of the folder."""
    data_set, _, name = image_id.partition(" : ")
    slug, stem = (re.sub(r"[^A-Za-z0-9_-]+", "_", part) for part in (data_set, name))
    digest = hashlib.sha256(image_id.encode()).hexdigest()[:8]  # names may differ in signs only
    path = folder / "photos" / slug / f"{stem[-80:]}-{digest}.jpg"
    return RemotePhoto(path, tuple(url for url in urls if url))


def _species(scientific_name: str, label: str) -> str | None:
    return class_key(scientific_name) if scientific_name else outcome(label)


def _class_keys(wanted: Sequence[str], known: Iterable[str | None]) -> frozenset[str]:
    keys = [class_key(name) or name for name in wanted]
    _check_names("photo of these data sets shows", keys, {one for one in known if one}, str)
    return frozenset(keys)


def _check_names(
    what: str, wanted: Sequence[str], known: Iterable[str], plain: Callable[[str], str]
) -> None:
    """Refuse a name that is not known, with the nearest ones."""
    known = sorted(known)
    by_plain = {plain(name): name for name in known}
    for name in wanted:
        if plain(name) not in by_plain:
            near = difflib.get_close_matches(plain(name), by_plain, n=3)
            meant = f" (did you mean {' or '.join(by_plain[one] for one in near)}?)" if near else ""
            raise ManifestError(
                f"no {what} {name!r}{meant}. There are: {', '.join(known[:40]) or 'none'}"
            )


def _columns(
    chosen: _Columns, own_places: Sequence[LilaPlace], row: Sequence[int], notes: list[str]
) -> dict[str, Sequence[object]]:
    """Return the columns of the manifest, but for the image."""
    data_sets = chosen["dataset_name"]
    locations = [_within(*pair) for pair in zip(data_sets, chosen["location_id"], strict=True)]
    sequences = [_within(*pair) for pair in zip(data_sets, chosen["sequence_id"], strict=True)]
    where = {
        pair: _place(*pair, own_places)
        for pair in dict.fromkeys(zip(data_sets, locations, strict=True))
    }
    places = [where[pair] for pair in zip(data_sets, locations, strict=True)]
    notes += _place_notes(data_sets, places)
    times: list[str | None] = [one or None for one in chosen["datetime"]]
    taxa = {f"taxon_{rank}": [one.capitalize() or None for one in chosen[rank]] for rank in _RANKS}
    return taxa | {
        "observation_id": chosen["observation_id"],
        "species": [one or None for one in chosen["species"]],
        "common_name": [one or None for one in chosen["common_name"]],
        "latitude_deg": [one and one.latitude_deg for one in places],
        "longitude_deg": [one and one.longitude_deg for one in places],
        "coordinate_uncertainty_m": [one and one.uncertainty_m for one in places],
        "region_id": [one and (one.region or None) for one in places],
        "datetime": read_cells(times, _read_time, what="times", row=row, notes=notes),
        "location_id": [
            None if short is None else full
            for short, full in zip(locations, chosen["location_id"], strict=True)
        ],
        "sequence_id": [
            None if short is None else full
            for short, full in zip(sequences, chosen["sequence_id"], strict=True)
        ],
        "source": [f"{name} (LILA BC)" for name in data_sets],
        "licence": [licence_of(name) for name in data_sets],
    }


def _within(data_set: str, identity: str) -> str | None:
    """Return an id without the data set in front; None where it names nothing."""
    name = identity.removeprefix(data_set).removeprefix(" : ").strip()
    return None if name.casefold() in _NO_VALUE else name


def _place(
    data_set: str, location: str | None, own_places: Sequence[LilaPlace]
) -> LilaPlace | None:
    """Find where a photo was taken: the user's own places first, the narrowest of them."""
    own = [
        place
        for place in own_places
        if plain_name(place.data_set) == plain_name(data_set)
        and (location or "").casefold().startswith(place.location.casefold())
    ]
    return max(own, key=lambda place: len(place.location), default=None) or place_of(
        data_set, location or ""
    )


def _read_time(text: str) -> str | None:
    """Read a time of the list, which has the month first."""
    found = _TIME.fullmatch(text)
    return read_time("{2}-{0}-{1} {3}".format(*found.groups())) if found else read_time(text)


def _list_notes(listed: LilaList, chosen: _Columns, *, people_left_out: bool) -> list[str]:
    people = listed.people() if people_left_out else 0
    facts = (
        (listed.unreadable, "lines of LILA's list could not be read"),
        (people, "photos of people are left out; LILA withholds most of them"),
        (
            sum(level == "sequence" for level in chosen["annotation_level"]),
            "labels were given to whole sequences: some of their photos may be blank",
        ),
    )
    return [f"{count:,} {what}" for count, what in facts if count]


def _place_notes(data_sets: Sequence[str], places: Sequence[LilaPlace | None]) -> list[str]:
    """Say for each data set how well its place is known, and which terms are not."""
    notes = []
    for (name, place), count in Counter(zip(data_sets, places, strict=True)).items():
        if place is None:
            notes.append(
                f"{count:,} rows of {name} have no coordinates: LILA gives none and names no area "
                "that we know. Give them with --places"
            )
        elif place.uncertainty_m is not None:
            notes.append(
                f"{count:,} rows of {name}: {place.region or 'your place'}, "
                f"{place.uncertainty_m / 1000:,.0f} km uncertain"
            )
    unknown = [name for name in dict.fromkeys(data_sets) if licence_of(name) is None]
    if unknown:
        notes.append(
            f"the terms of {', '.join(unknown)} are not known here: read them at "
            "https://lila.science/datasets and state them with: homerange profile --licence"
        )
    return notes


def _read_places(path: Path) -> list[LilaPlace]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{path}: cannot be read as a table of places ({error})") from error
    return [_read_place(line, f"{path}, row {i}") for i, line in enumerate(lines, start=1)]


def _read_place(line: Mapping[str, str | None], where: str) -> LilaPlace:
    cells = {name: (line.get(name) or "").strip() for name in (*_PLACE_NEEDED, *_PLACE_OPTIONAL)}
    try:
        if not cells["data_set"]:
            raise ValueError("data_set is empty")
        return LilaPlace(
            data_set=cells["data_set"],
            location=cells["location"],
            region=cells["region"],
            latitude_deg=float(cells["latitude"]),
            longitude_deg=float(cells["longitude"]),
            uncertainty_m=float(cells["uncertainty_m"]) if cells["uncertainty_m"] else None,
        )
    except ValueError as error:
        raise ManifestError(
            f"{where}: {error}. Expected the columns {', '.join(_PLACE_NEEDED)}, and if wanted "
            f"{', '.join(_PLACE_OPTIONAL)}"
        ) from error
