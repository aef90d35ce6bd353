"""Import a Camtrap DP 1.0 package: deployments, media and observations become one table of photos.

Source: Camtrap DP 1.0 (https://camtrap-dp.tdwg.org/data).

What we decide:
    - an observation of a photo is one row. An observation of an event is spread over its photos: a
      row for each that has no label of its own, with the id ``OBSERVATION:MEDIA`` and no count,
      because it says how many animals the event saw;
    - ``unknown`` and ``unclassified`` are unlabelled, and so is an ``animal`` without a name;
    - a photo without any observation is one unlabelled row;
    - the camera is the ``locationID``, else the deployment; the burst is the event, within its
      deployment, because some packages number events from 1 in each;
    - a deployment that gives no uncertainty has that of its rounding, where the package states a
      ``coordinatePrecision``: half the diagonal of a square of that side;
    - rows are counted as observations from 1, then media.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from homerange.data.importers import Imported, complete, read_cells
from homerange.data.importers.camtrap_events import EventPhotos, event_name, event_span
from homerange.data.importers.camtrap_package import CamtrapPackage, leaves_package
from homerange.data.importers.folder import image_key
from homerange.data.manifest import BOX_COLUMNS, Refused
from homerange.data.names import class_key
from homerange.data.times import read_time
from homerange.errors import ManifestError

__all__ = ["import_camtrap_dp"]

_DEPLOYMENT = ("deploymentID", "latitude", "longitude")
_MEDIA = ("mediaID", "deploymentID", "timestamp", "filePath", "fileMediatype")
_OBSERVATION = (
    "observationID", "deploymentID", "eventStart", "eventEnd", "observationLevel",
    "observationType",
)  # fmt: skip
_OUTCOME = {"human": "person", "vehicle": "vehicle", "blank": "blank"}
_TYPES = ("animal", *_OUTCOME, "unknown", "unclassified")
_NUMBERS = {
    "latitude_deg": "latitude",
    "longitude_deg": "longitude",
    "coordinate_uncertainty_m": "coordinateUncertainty",
    **dict(zip(BOX_COLUMNS, ("bboxX", "bboxY", "bboxWidth", "bboxHeight"), strict=True)),
}
_TAXA = {f"taxon_{rank}": rank for rank in ("class", "order", "family", "genus")}
_METRES_OF_A_DEGREE = 111_195  # of latitude, on a sphere of 6,371 km

_Cells = Mapping[str, str]
_Row = dict[str, str | None]


def import_camtrap_dp(source: Path, *, photos: Path | None = None, seed: int = 0) -> Imported:
    """Import a Camtrap DP package.

    Args:
        source: The folder, its ``datapackage.json``, or a zip.
        photos: Folder that relative paths of photos start from; that of the package by default.
        seed: Seed of the splits.

    Returns:
        The manifest, the refused rows and notes.

    Raises:
        ManifestError: If the package cannot be read, or no row can be used.
        CoordinateError: If latitude and longitude look swapped.
    """
    package = CamtrapPackage.open(source)
    survey = _Survey(package, photos_in_zip=package.is_zip and photos is None)
    numbered = sorted(survey.rows(), key=lambda row: row[0])
    row = [number for number, _ in numbered]
    rows = [cells for _, cells in numbered]
    notes = survey.notes()
    return complete(
        _convert(rows, row, notes),
        source=source,
        photos=photos or (source if source.is_dir() else source.parent),
        row=row,
        refused=survey.refused,
        notes=notes,
        seed=seed,
    )


@dataclass
class _Photo:
    """A row of media, and the observations that speak of it."""

    number: int
    media: _Cells
    deployment: _Cells
    own: list[tuple[int, _Cells]] = field(default_factory=list)
    """Observations of the photo itself, with their row numbers."""
    events: list[tuple[int, _Cells]] = field(default_factory=list)
    """Observations of its events."""


class _Survey:
    """The photos of a package, what was seen on each, and the rows that cannot be used."""

    def __init__(self, package: CamtrapPackage, *, photos_in_zip: bool) -> None:
        self._package = package
        self._photos_in_zip = photos_in_zip
        self._taxa = {str(one.get("scientificName")): one for one in package.entries("taxonomic")}
        self._spread_events: set[int] = set()
        self._rows_by_origin: dict[str, int] = defaultdict(int)
        deployments = package.read("deployments", _DEPLOYMENT)
        observations = package.read("observations", _OBSERVATION)
        self.refused = [*deployments.refused, *observations.refused]
        by_id = {cells.get("deploymentID", ""): cells for _, cells in deployments.rows}
        self._photos = self._read_photos(by_id, first_row=len(observations))
        self._observe(observations.rows)

    def rows(self) -> Iterator[tuple[int, _Row]]:
        """Yield row number and cells, in the words of the manifest, of all that is known."""
        for photo in self._photos.values():
            shared = self._of_photo(photo)
            own = [(number, self._label(cells)) for number, cells in photo.own]
            spread = [] if any(row["species"] for _, row in own) else self._of_events(photo)
            origin = "spread" if spread else "own" if own else "none"
            for number, row in spread or own or [(photo.number, {})]:
                self._rows_by_origin[origin] += 1
                yield number, shared | row

    def notes(self) -> list[str]:
        """Say which rows came how, and count what the user should know."""
        rows = self._rows_by_origin
        photos = list(self._photos.values())
        observed = [cells for photo in photos for _, cells in (*photo.own, *photo.events)]
        facts = (
            (
                sum(cells.get("classificationMethod") == "machine" for cells in observed),
                "labels were given by a machine (classificationMethod)",
            ),
            (
                sum(_is(photo.deployment.get("timestampIssues"), "true") for photo in photos),
                "photos have times with known issues (timestampIssues)",
            ),
            (
                sum(_is(photo.media.get("filePublic"), "false") for photo in photos),
                "photos are not public (filePublic): an address may ask for a login",
            ),
        )
        origins = (
            f"{rows['own']:,} rows are observations of single photos, {rows['spread']:,} were "
            f"spread from {len(self._spread_events):,} observations of events (some of these "
            f"photos may be blank), {rows['none']:,} photos were not observed"
        )
        return [origins, *(f"{count:,} {what}" for count, what in facts if count)]

    def _read_photos(
        self, deployments: Mapping[str, _Cells], *, first_row: int
    ) -> dict[str, _Photo]:
        media = self._package.read("media", _MEDIA)
        self.refused += [Refused(one.row + first_row, "", one.reason) for one in media.refused]
        photos: dict[str, _Photo] = {}
        for number, cells in media.rows:
            deployment = deployments.get(cells.get("deploymentID", ""), {})
            try:
                self._check_photo(cells, photos)
                _check_deployment(cells, deployment)
            except ManifestError as error:
                path = cells.get("filePath", "")
                self.refused.append(Refused(number + first_row, path, str(error)))
                continue
            photos[cells["mediaID"]] = _Photo(number + first_row, cells, deployment)
        return photos

    def _check_photo(self, cells: _Cells, photos: Mapping[str, _Photo]) -> None:
        missing = [name for name in ("mediaID", "filePath") if name not in cells]
        if missing:
            raise ManifestError(f"the medium has no {missing[0]}")
        if cells["mediaID"] in photos:
            raise ManifestError(f"the mediaID {cells['mediaID']!r} was already used")
        kind = cells.get("fileMediatype", "of no fileMediatype")
        if not kind.startswith("image/"):
            raise ManifestError(f"the medium is {kind}; only photos can be used")
        path = cells["filePath"]
        if "://" in path:
            return
        if leaves_package(path):
            raise ManifestError("the filePath leads out of the package, which Camtrap DP forbids")
        if self._photos_in_zip and self._package.has(path):
            raise ManifestError("lies inside the zip. Unzip the package and import its folder")

    def _observe(self, observations: Sequence[tuple[int, _Cells]]) -> None:
        """Give each observation to the photos that it speaks of, or refuse it."""
        events = EventPhotos({name: photo.media for name, photo in self._photos.items()})
        of_events = []
        for number, cells in observations:
            try:
                if _level(cells) == "media":
                    self._observed_photo(cells).own.append((number, cells))
                    events.name(cells["mediaID"], event_name(cells))
                else:
                    of_events.append((number, cells, event_span(cells)))
            except ManifestError as error:
                self.refused.append(Refused(number, "", str(error)))
        for number, cells, span in of_events:
            covered = events.covered(cells, span)
            if not covered:
                where = f"deployment {cells.get('deploymentID')!r}"
                reason = f"no photo of {where} was taken in the event {span.describe()}"
                self.refused.append(Refused(number, "", reason))
            for media_id in covered:
                self._photos[media_id].events.append((number, cells))

    def _observed_photo(self, cells: _Cells) -> _Photo:
        media_id = cells.get("mediaID")
        if media_id is None:
            raise ManifestError("the observation of a photo has no mediaID")
        if media_id not in self._photos:
            raise ManifestError(f"no photo that can be used has the mediaID {media_id!r}")
        return self._photos[media_id]

    def _of_events(self, photo: _Photo) -> list[tuple[int, _Row]]:
        """Return the labels of a photo's events; one that stands there twice is one row."""
        rows: dict[str, tuple[int, _Row]] = {}
        for number, cells in photo.events:
            row = self._label(cells) | {"count": None}
            if row["species"] is None:
                continue
            row["observation_id"] = f"{cells.get('observationID', number)}:{photo.media['mediaID']}"
            self._spread_events.add(number)
            rows.setdefault(row["species"], (number, row))
        return list(rows.values())

    def _of_photo(self, photo: _Photo) -> _Row:
        """Return what holds for all rows of a photo."""
        media, deployment = photo.media, photo.deployment
        observed = [cells for _, cells in (*photo.own, *photo.events)]
        names = [event_name(cells) for cells in observed]
        licences = [one for one in self._package.entries("licenses") if one.get("scope") == "media"]
        licence = next((one.get("name") or one.get("path") for one in licences), None)
        return {
            "image": image_key(media["filePath"]),
            "latitude_deg": deployment.get("latitude"),
            "longitude_deg": deployment.get("longitude"),
            "coordinate_uncertainty_m": deployment.get("coordinateUncertainty") or self._rounding(),
            "datetime": media.get("timestamp"),
            "location_id": deployment.get("locationID") or media["deploymentID"],
            "sequence_id": next((name for name in names if name), None),
            "source": self._package.text("name") or self._package.text("title"),
            "licence": None if licence is None else str(licence),
        }

    def _label(self, cells: _Cells) -> _Row:
        """Return what an observation says of what was seen."""
        name = cells.get("scientificName", "")
        kind = cells["observationType"]
        species = class_key(name) if kind == "animal" and name else _OUTCOME.get(kind)
        taxon = self._taxa.get(name, {}) if kind == "animal" else {}
        row: _Row = {ours: _text(taxon.get(theirs)) for ours, theirs in _TAXA.items()}
        row |= {ours: cells.get(theirs) for ours, theirs in _NUMBERS.items() if theirs in cells}
        return row | {
            "species": species,
            "common_name": _common_name(taxon.get("vernacularNames")),
            "count": cells.get("count"),
            "observation_id": cells.get("observationID"),
        }

    def _rounding(self) -> str | None:
        """Return how far rounded coordinates may be off, in metres, where the package says."""
        precision = self._package.description.get("coordinatePrecision")
        if not isinstance(precision, int | float) or isinstance(precision, bool) or precision <= 0:
            return None
        return str(math.ceil(precision / 2 * math.sqrt(2) * _METRES_OF_A_DEGREE))


def _convert(
    rows: Sequence[_Row], row: Sequence[int], notes: list[str]
) -> dict[str, Sequence[object]]:
    names = sorted({name for cells in rows for name in cells})
    columns: dict[str, Sequence[object]] = {name: [one.get(name) for one in rows] for name in names}
    readers: dict[str, tuple[Callable[[str], object], str]] = {
        name: (_number, f"values of {name}") for name in _NUMBERS
    }
    readers |= {"datetime": (read_time, "times"), "count": (_count, "counts")}
    for name, (read, what) in readers.items():
        cells = [one.get(name) for one in rows]
        columns[name] = read_cells(cells, read, what=what, row=row, notes=notes)
    naive = sum(isinstance(time, str) and _lacks_offset(time) for time in columns["datetime"])
    if naive:
        notes.append(f"{naive:,} times have no UTC offset, which Camtrap DP asks for")
    return columns


def _check_deployment(media: _Cells, deployment: _Cells) -> None:
    if not deployment:
        name = media.get("deploymentID", "")
        raise ManifestError(f"no deployment has the deploymentID {name!r}")


def _level(cells: _Cells) -> str:
    """Return the level of an observation that has a level and a type of the standard."""
    level, kind = cells.get("observationLevel", ""), cells.get("observationType", "")
    if level not in ("media", "event"):
        raise ManifestError(f"the observationLevel is {level!r}; expected media or event")
    if kind not in _TYPES:
        raise ManifestError(f"the observationType is {kind!r}; expected one of {', '.join(_TYPES)}")
    return level


def _common_name(names: object) -> str | None:
    """Choose the English name, else the first one."""
    if not isinstance(names, Mapping):
        return None
    return _text(names.get("eng") or names.get("en") or next(iter(names.values()), None))


def _text(value: object) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _is(cell: str | None, word: str) -> bool:
    return cell is not None and cell.casefold() == word


def _lacks_offset(time: str) -> bool:
    return datetime.fromisoformat(time).tzinfo is None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _count(text: str) -> int | None:
    return int(text) if text.isdecimal() and 0 < int(text) < 2**31 else None
