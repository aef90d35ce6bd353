"""Results as a Camtrap DP 1.0.2 package: a folder with ``datapackage.json`` and three tables.

Source: camtrap-dp.tdwg.org, version 1.0.2. Every column of the standard stands in the header, as
its validators want it. Photos stay where they are: ``filePath`` is relative to the folder that was
run on, or a ``file:`` URL where the standard does not allow the name.

What we decide:
    - a deployment is a row of the user's table, else a folder with photos. Coordinates are those of
      the table, else the middle of the package's place with its radius as uncertainty; never EXIF;
    - a deployment without dates of its own lasts from its first photo to its last;
    - a photo is an observation of level ``media``; a burst of several is one of level ``event``
      too, and ``eventID`` joins them;
    - what the standard cannot hold, a photo without a time or without a deployment and one that
      could not be read, is a row of ``left-out.csv`` with the reason;
    - what nobody told us (people, sampling design) is a placeholder, and ``description`` says so.
"""

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from homerange.errors import RunError
from homerange.run.answers import Answer, Burst
from homerange.run.results.camtrap_columns import COLUMNS, MEDIA_TYPES, PROFILE, schema_url
from homerange.run.results.fieldwork import Fieldwork
from homerange.run.results.naming import Naming, name_of, named
from homerange.run.results.stamp import classifier, stamp
from homerange.run.sources import Photo
from homerange.run.whereabouts import Whereabouts
from homerange.world.place_package import PlacePackage

__all__ = ["LEFT_OUT", "is_camtrap_dp", "write_camtrap_dp"]

LEFT_OUT = "left-out.csv"
_TYPE_OF = {"person": "human", "vehicle": "vehicle", "blank": "blank", "animal": "animal"}
_ALLOWED = re.compile(r"(?=[^./~])((?!\.{2}).)*")  # the standard's pattern of filePath
_Row = Mapping[str, object]


def is_camtrap_dp(folder: Path) -> bool:
    """Whether a folder is a package that we wrote, and so may be written again."""
    try:
        content = json.loads((folder / "datapackage.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and "homerange" in content


def write_camtrap_dp(
    folder: Path,
    package: PlacePackage,
    answers: Iterable[tuple[Photo, Answer]],
    fieldwork: Fieldwork,
) -> None:
    """Write the package, holding one photo in memory at a time.

    Args:
        folder: An empty folder.
        package: The package that gave the answers.
        answers: Every photo with its answer, in the order of the rows.
        fieldwork: Clock and deployments.

    Raises:
        RunError: If no photo can be written, or a deployment has no coordinates.
    """
    with ExitStack() as files:
        tables = {name: _Table(folder / f"{name}.csv", COLUMNS[name], files) for name in COLUMNS}
        left_out = _Table(folder / LEFT_OUT, ["file", "reason"], files)
        found = _Found(Whereabouts(package).middle, fieldwork)
        for photo, answer in answers:
            reason = found.why_not(photo, answer)
            if reason is not None:
                left_out.add({"file": photo.file, "reason": reason})
                continue
            rows = _Observed(photo, answer, package, fieldwork)
            found.note(photo, rows)
            tables["media"].add(rows.medium())
            for row in rows.observations():
                tables["observations"].add(row)
        if not found.spans:
            raise RunError(
                f"{folder.parent}: no photo has what Camtrap DP needs: a time, a deployment and "
                "an answer. Choose another format"
            )
        for row in found.deployments():
            tables["deployments"].add(row)
    text = json.dumps(_description(found, package), ensure_ascii=False, indent=1)
    (folder / "datapackage.json").write_text(text + "\n", encoding="utf-8")


class _Table:
    """A CSV with fixed columns; cells that a row does not name are empty."""

    def __init__(self, path: Path, columns: Iterable[str], files: ExitStack) -> None:
        file = files.enter_context(path.open("w", encoding="utf-8", newline=""))
        self._rows = csv.DictWriter(file, list(columns), restval="", lineterminator="\n")
        self._rows.writeheader()

    def add(self, row: _Row) -> None:
        self._rows.writerow(row)


@dataclass
class _Observed:
    """One photo with an answer, as rows of media and observations."""

    photo: Photo
    answer: Answer
    package: PlacePackage
    fieldwork: Fieldwork

    @property
    def deployment_id(self) -> str:
        """As `_Found.deployments` writes it."""
        folder = self.fieldwork.deployment(self.photo.folder)
        assert folder is not None  # why_not leaves out the others
        return self.fieldwork.name(folder)

    @property
    def time(self) -> str:
        """With its offset."""
        return self.offset(self.answer.datetime or "")

    def offset(self, time: str) -> str:
        """Give a time as the standard wants it."""
        found = self.fieldwork.with_offset(time)
        assert found is not None  # why_not leaves out the others
        return found

    def medium(self) -> _Row:
        """The row of media."""
        suffix = self.photo.path.suffix.lower()
        return {
            "mediaID": self.photo.file,
            "deploymentID": self.deployment_id,
            "timestamp": self.time,
            "filePath": _file_path(self.photo),
            "filePublic": "false",
            "fileName": self.photo.path.name.encode("utf-8", "backslashreplace").decode(),
            "fileMediatype": MEDIA_TYPES[suffix],
        }

    def names(self) -> list[Naming]:
        """What its rows name."""
        burst = self._own_burst()
        names = [name for name, _, _ in self._seen()]
        return names + ([name_of(burst.top[0][0], self.package)] if burst else [])

    def observations(self) -> Sequence[_Row]:
        """The row of the photo, and of a burst that begins with it."""
        burst = self.answer.burst
        rows = [
            self._row(str(i), name, probability, burst) | {"mediaID": self.photo.file} | box
            for i, (name, probability, box) in enumerate(self._seen(), start=1)
        ]
        if own := self._own_burst():
            index, probability = own.top[0]
            row = self._row("event", name_of(index, self.package), probability, own)
            rows.append(row | {"observationLevel": "event"})
        return rows

    def _seen(self) -> list[tuple[Naming, float, dict[str, object]]]:
        """What the photo shows, how sure that is, and the columns of its box where it has one."""
        found: list[tuple[Naming, float, dict[str, object]]] = []
        for look in self.answer.looks or ():
            if not look.sure:
                continue
            name, probability = named(look.box.category, self.package), look.box.confidence
            if look.top:
                name, probability = name_of(look.top[0][0], self.package), look.top[0][1]
            found.append((name, probability, _box(look.box.bbox)))
        if found:
            return found
        label, probability = self.answer.best(self.package.labels)
        return [(named(label, self.package), probability, {})]

    def _own_burst(self) -> Burst | None:
        burst = self.answer.burst
        return burst if burst is not None and burst.key == self.photo.file else None

    def _row(
        self, suffix: str, name: Naming, probability: float, burst: Burst | None
    ) -> dict[str, object]:
        return {
            "observationID": f"{self.photo.file}#{suffix}",
            "deploymentID": self.deployment_id,
            "eventID": burst.key if burst else self.photo.file,
            "eventStart": self.offset(burst.first_time) if burst else self.time,
            "eventEnd": self.offset(burst.last_time) if burst else self.time,
            "observationLevel": "media",
            "observationType": _TYPE_OF[name.outcome],
            "scientificName": name.label if name.is_animal else "",
            "classificationMethod": "machine",
            "classifiedBy": f"{classifier(self.package)} {self.package.sha256[:12]}",
            "classificationProbability": f"{probability:.4f}",
        }


def _box(bbox: tuple[float, float, float, float]) -> dict[str, object]:
    """The columns of a box; one without an extent is none."""
    left, top, width, height = bbox
    if not (width > 0 and height > 0):
        return {}
    return {"bboxX": left, "bboxY": top, "bboxWidth": width, "bboxHeight": height}


@dataclass
class _Found:
    """What is known of all photos together: one entry a deployment, one a taxon."""

    middle: tuple[float, float, float] | None
    fieldwork: Fieldwork
    spans: dict[str, tuple[str, str]] = field(default_factory=dict)
    taxa: dict[str, Naming] = field(default_factory=dict)
    has_events: bool = False

    def why_not(self, photo: Photo, answer: Answer) -> str | None:
        """Say why the standard cannot hold a photo; None where it can."""
        if answer.failure is not None:
            return answer.failure
        if answer.datetime is None or self.fieldwork.with_offset(answer.datetime) is None:
            return "no time of day with the photo, which Camtrap DP needs"
        if self.fieldwork.deployment(photo.folder) is None:
            return f"the table of deployments has no row for the folder {photo.folder or '.'}"
        return None

    def note(self, photo: Photo, rows: _Observed) -> None:
        """Remember when a deployment was working, and which taxa were seen."""
        folder = self.fieldwork.deployment(photo.folder) or ""
        first, last = self.spans.get(folder, (rows.time, rows.time))
        self.spans[folder] = (
            min(first, rows.time, key=_moment),
            max(last, rows.time, key=_moment),
        )
        self.has_events |= rows.answer.burst is not None
        self.taxa |= {name.label: name for name in rows.names() if name.is_animal}

    def deployments(self) -> list[dict[str, object]]:
        """The rows of deployments; of a table's, those with photos."""
        return [self._deployment(folder) for folder in sorted(self.spans)]

    def _deployment(self, folder: str) -> dict[str, object]:
        first, last = self.spans[folder]
        row: dict[str, object] = {
            "deploymentID": self.fieldwork.name(folder),
            "locationName": folder,
            "deploymentStart": first,
            "deploymentEnd": last,
        }
        table = self.fieldwork.deployments
        if table is not None:
            said = {k: v for k, v in table[folder].items() if k in COLUMNS["deployments"] and v}
            for column in ("deploymentStart", "deploymentEnd"):
                if column in said:
                    said[column] = _stated(said[column], column, folder, self.fieldwork)
            return row | said
        if self.middle is None:
            raise RunError(
                f"the folder {folder or '.'} has no coordinates, which Camtrap DP needs, and the "
                "place of this package is a list of species. Give them with --deployments TABLE"
            )
        latitude_deg, longitude_deg, radius_km = self.middle
        return row | {
            "latitude": f"{latitude_deg:.5f}",
            "longitude": f"{longitude_deg:.5f}",
            "coordinateUncertainty": max(1, round(radius_km * 1000)),
        }


def _stated(text: str, column: str, folder: str, fieldwork: Fieldwork) -> str:
    try:
        found = fieldwork.with_offset(text)
    except ValueError:
        found = None
    if found is None:
        raise RunError(
            f"the table of deployments gives the folder {folder or '.'} the {column} {text!r}; "
            "expected a time such as 2024-05-06T07:08:09"
        )
    return found


def _moment(time: str) -> datetime:
    return datetime.strptime(time, "%Y-%m-%dT%H:%M:%S%z")


def _file_path(photo: Photo) -> str:
    if _ALLOWED.fullmatch(photo.file):
        return photo.file
    return photo.path.absolute().as_uri().replace("..", "%2E%2E")


def _description(found: _Found, package: PlacePackage) -> dict[str, object]:
    deployments = found.deployments()
    moments = sorted(_moment(str(row[k])) for row in deployments for k in _ENDS)
    points = {(float(str(row["longitude"])), float(str(row["latitude"]))) for row in deployments}
    return {
        "resources": [
            {
                "name": name,
                "path": f"{name}.csv",
                "profile": "tabular-data-resource",
                "format": "csv",
                "mediatype": "text/csv",
                "encoding": "utf-8",
                "schema": schema_url(name),
            }
            for name in COLUMNS
        ],
        "profile": PROFILE,
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "description": _PLACEHOLDERS,
        "contributors": [{"title": "not stated"}],
        "project": {
            "title": package.name,
            "samplingDesign": "opportunistic",
            "captureMethod": ["activityDetection"],
            "individualAnimals": False,
            "observationLevel": ["media", "event"] if found.has_events else ["media"],
        },
        "spatial": {"type": "MultiPoint", "coordinates": sorted(points)},
        "temporal": {
            "start": moments[0].date().isoformat(),
            "end": moments[-1].date().isoformat(),
        },
        "taxonomic": [_taxon(found.taxa[label]) for label in sorted(found.taxa)],
        "homerange": {"classifier": classifier(package), **stamp(package)},
    }


_ENDS = ("deploymentStart", "deploymentEnd")
_PLACEHOLDERS = (
    "Species were named by a machine and not checked. Before you publish: contributors, the title, "
    "the samplingDesign and the captureMethod of the project are placeholders, and licences are "
    "missing."
)


def _taxon(name: Naming) -> dict[str, object]:
    taxon: dict[str, object] = {"scientificName": name.label}
    if name.epithet:
        taxon["taxonRank"] = "species"
    if name.common_name:
        taxon["vernacularNames"] = {"eng": name.common_name}
    return taxon
