"""What only the user knows about the cameras: where they stood, when, and on which clock.

A table of deployments is a CSV with a row for each camera folder: ``folder`` (as the results name
it; folders below it belong to it), ``latitude`` and ``longitude`` in degrees, and any column of
Camtrap DP's deployments (``deploymentID``, ``deploymentStart``, ``locationName`` ...), besides
``project_id`` for Wildlife Insights. Without a table every folder with photos is a deployment.
"""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

from homerange.errors import ConfigError, RunError

__all__ = ["Fieldwork", "parse_utc_offset", "read_deployments"]

Deployments = Mapping[str, Mapping[str, str]]
"""Folder -> its row."""

_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})")
_NEEDED = ("folder", "latitude", "longitude")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fieldwork:
    """Clock and cameras of a run."""

    utc_offset: timezone | None = None
    """Of camera clocks that write none; None where the user did not say."""
    deployments: Deployments | None = field(default=None)
    """None where there is no table."""

    def deployment(self, folder: str) -> str | None:
        """Return the folder of the table that a camera folder belongs to: itself or one above it.

        Example:
            >>> Fieldwork(deployments={"oak": {}}).deployment("oak/100MEDIA")
            'oak'
            >>> Fieldwork().deployment("oak/100MEDIA")
            'oak/100MEDIA'
        """
        if self.deployments is None:
            return folder
        while folder not in self.deployments:
            if not folder:
                return None
            folder = folder.rpartition("/")[0]
        return folder

    def name(self, folder: str) -> str:
        """Return the id of a deployment: what the table says, else its folder.

        Example:
            >>> Fieldwork(deployments={"oak": {"deploymentID": "d1"}}).name("oak")
            'd1'
            >>> Fieldwork().name("")
            'top'
        """
        stated = (self.deployments or {}).get(folder, {}).get("deploymentID")
        return stated or folder or "top"

    def with_offset(self, time: str) -> str | None:
        """Return a time in Camtrap DP's form, to the second; None where it has no offset or hour.

        Example:
            >>> Fieldwork(utc_offset=parse_utc_offset("+03:00")).with_offset("2024-05-06T07:08:09")
            '2024-05-06T07:08:09+0300'
            >>> Fieldwork().with_offset("2024-05-06T07:08:09") is None
            True
        """
        if "T" not in time:
            return None
        moment = datetime.fromisoformat(time)
        if moment.tzinfo is None:
            if self.utc_offset is None:
                return None
            moment = moment.replace(tzinfo=self.utc_offset)
        return moment.strftime("%Y-%m-%dT%H:%M:%S%z")


def parse_utc_offset(text: str) -> timezone:
    """Read ``+03:00``, ``-0430`` or ``Z``.

    Raises:
        ConfigError: If it is no offset from UTC.
    """
    if text.upper() == "Z":
        return timezone(timedelta(0))
    found = _OFFSET.fullmatch(text)
    if not found or int(found[2]) > 14 or int(found[3]) > 59:
        raise ConfigError(
            f"--utc-offset is {text!r}; expected what camera clocks are ahead of UTC, such as "
            "+03:00, -04:30 or Z"
        )
    minutes = int(found[2]) * 60 + int(found[3])
    return timezone(timedelta(minutes=minutes if found[1] == "+" else -minutes))


def read_deployments(path: Path) -> Deployments:
    """Read a table of deployments.

    Raises:
        RunError: If it cannot be read, lacks a column, names a folder or an id twice, or has
            coordinates that are no place on the Earth.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, restval=""))
    except (OSError, ValueError, csv.Error) as error:
        raise RunError(f"{path}: the table of deployments cannot be read ({error})") from error
    missing = [name for name in _NEEDED if not rows or name not in rows[0]]
    if missing:
        raise RunError(
            f"{path}: a table of deployments needs the columns {', '.join(_NEEDED)} and a row for "
            f"each camera; found no {missing[0]}"
        )
    found: dict[str, Mapping[str, str]] = {}
    ids: set[str] = set()
    for number, row in enumerate(rows, start=1):
        folder = row["folder"].replace("\\", "/").strip("/").removeprefix("./").strip(".")
        name = row.get("deploymentID") or folder
        if folder in found or name in ids:
            raise RunError(f"{path}: row {number} names {name or 'the top folder'} a second time")
        _check_place(row, path, number)
        ids.add(name)
        found[folder] = {k: (v or "").strip() for k, v in row.items() if isinstance(k, str)}
    return found


def _check_place(row: Mapping[str, str], path: Path, number: int) -> None:
    try:
        latitude_deg, longitude_deg = float(row["latitude"]), float(row["longitude"])
    except ValueError:
        latitude_deg = longitude_deg = float("nan")
    if not (abs(latitude_deg) <= 90 and abs(longitude_deg) <= 180):
        raise RunError(
            f"{path}: row {number} has latitude {row['latitude']!r} and longitude "
            f"{row['longitude']!r}; expected degrees, latitude in [-90, 90], longitude in "
            "[-180, 180]"
        )
