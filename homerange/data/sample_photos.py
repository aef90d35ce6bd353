"""A small public set of camera-trap photos, for a first try without own photos.

Source: Snapshot Safari (T. M. Anderson et al.), published by LILA BC under the Community Data
License Agreement, permissive variant 1.0: https://lila.science/datasets/snapshot-safari. Two
reserves, so that a place makes a difference: Enonkishu in Kenya and Mountain Zebra in South
Africa. Frames with people are not part of the public set.

LILA gives no coordinates of cameras. Each photo gets those of its reserve, 10 km uncertain.

Photos come in rounds: one of each species, then a second of each ..., so that a slow line still
brings a balanced set before the time is over.
"""

import argparse
import csv
import json
import random
import re
import sys
import time
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from io import BytesIO
from itertools import repeat, zip_longest
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from homerange.data.download import ask, reason_of
from homerange.data.fetch_photos import keep_photo
from homerange.data.snapshot_safari import RESERVES, Reserve, species_of
from homerange.errors import DownloadError, HomerangeError, ImageError
from homerange.progress import progress

__all__ = ["BASE_URL", "download_sample"]

BASE_URL = "https://storage.googleapis.com/public-datasets-lila/snapshot-safari"
LICENCE = "CDLA-Permissive-1.0"
UNCERTAINTY_M = 10_000
LONGEST_SIDE_PX = 640
ENOUGH_PHOTOS = 100  # with fewer than these (or than half, of a small choice) nothing can be tried
MAX_BYTES = 200_000_000
THREADS = 8
TIME_OVER = "the time was over"
DAMAGED = (  # what reading a damaged zip, JSON or COCO table raises
    zipfile.BadZipFile, zlib.error, RuntimeError, ValueError, LookupError,
    TypeError, AttributeError,
)  # fmt: skip

COLUMNS = (
    "path", "species", "common_name", "latitude", "longitude", "coordinate_uncertainty_m",
    "datetime", "region_id", "location_id", "sequence_id", "licence", "source",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Photo:
    reserve: Reserve
    file_name: str
    species: str
    common_name: str
    datetime: str
    location: str
    sequence: str
    frame: int

    @property
    def path(self) -> str:
        """Where it is kept, relative to the folder; the server's name cannot lead out of it."""
        return f"photos/{self.reserve.code}/{re.sub(r'[^A-Za-z0-9_-]+', '_', self.file_name)}.jpg"


@dataclass
class _Line:
    """The connection, and the moment at which it is closed."""

    base_url: str
    timeout_s: float
    deadline_s: float
    stopped: bool = False

    @property
    def over(self) -> bool:
        """Whether no more may be fetched."""
        return self.stopped or time.monotonic() > self.deadline_s

    def get(self, path: str) -> bytes:
        """Fetch one file, or raise OSError or HTTPException."""
        return self.read(self.open(path))

    def open(self, path: str) -> HTTPResponse:
        """Ask for one file."""
        return ask(f"{self.base_url}/{path}", timeout_s=self.timeout_s)

    def read(self, response: HTTPResponse) -> bytes:
        """Read an answer to its end, within the time and size allowed."""
        data = bytearray()
        with response:
            while piece := response.read1(1 << 16):  # returns what is there: a drip cannot block it
                data += piece
                if self.over:
                    raise TimeoutError(TIME_OVER)
                if len(data) > MAX_BYTES:
                    raise OSError(f"more than {MAX_BYTES:,} bytes")
            if response.length:
                raise OSError(f"the connection broke {response.length:,} bytes before the end")
        return bytes(data)


@dataclass
class _Skipped:
    """What was left out and why: reserve, reason -> number of photos."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, reserve: Reserve, reason: str) -> None:
        """Count one photo."""
        self.counts[reserve.code, reason] += 1

    def write(self, path: Path) -> None:
        """Write the counts as CSV."""
        rows = [(code, reason, count) for (code, reason), count in self.counts.most_common()]
        _write_csv(path, [("reserve", "reason", "photos"), *rows])


def download_sample(
    folder: Path,
    *,
    base_url: str = BASE_URL,
    photos_per_species: int = 30,
    connect_timeout_s: float = 3,
    budget_s: float = 120,
) -> Path:
    """Fetch a bounded choice of photos, shrink them and write their table.

    Photos that are already in the folder are kept, so the same call goes on where it was
    interrupted. ``skipped.csv`` counts what was left out, with reasons.

    Args:
        folder: Where ``photos/``, ``manifest.csv`` and ``skipped.csv`` go.
        base_url: Folder of Snapshot Safari at LILA, or a mirror of it.
        photos_per_species: At most this many photos of each species in each reserve.
        connect_timeout_s: Longest silence of the server, in seconds.
        budget_s: Time for everything. When it is over, the photos that came count.

    Returns:
        Path of ``manifest.csv``.

    Raises:
        DownloadError: If the server cannot be reached, its list of photos is damaged, or too few
            photos came.
    """
    folder.mkdir(parents=True, exist_ok=True)
    line = _Line(base_url.rstrip("/"), connect_timeout_s, time.monotonic() + budget_s)
    _reach(line)
    skipped = _Skipped()
    chosen: list[_Photo] = []
    for reserve in RESERVES:
        chosen += _choose(_photos(reserve, line, skipped), photos_per_species)
    rounds = zip_longest(*_by_species(chosen).values())
    ordered = [photo for nth in rounds for photo in nth if photo is not None]
    _fetch(ordered, folder, line, skipped)
    arrived = [photo for photo in ordered if (folder / photo.path).exists()]
    if len(arrived) < min(ENOUGH_PHOTOS, len(ordered) / 2) or not arrived:
        reason = skipped.counts.most_common(1)[0][0][1] if skipped.counts else "none was offered"
        raise DownloadError(
            f"only {len(arrived)} of {len(ordered)} sample photos came from {base_url} within "
            f"{budget_s:g} s (most often: {reason}); they are kept in {folder}, the same command "
            "goes on from there"
        )
    skipped.write(folder / "skipped.csv")
    table = folder / "manifest.csv"
    _write_csv(table, [COLUMNS, *map(_row, arrived)])
    return table


def _reach(line: _Line) -> None:
    """Give up within seconds when offline: no timeout covers a name server that is silent."""
    outcome: SimpleQueue[Exception | None] = SimpleQueue()

    def knock() -> None:
        """See whether anybody is there."""
        try:
            line.open(_metadata(RESERVES[0])).close()
            outcome.put(None)
        except (OSError, HTTPException, ValueError) as error:
            outcome.put(error)

    Thread(target=knock, daemon=True).start()
    try:
        error = outcome.get(timeout=2 * line.timeout_s)
    except Empty:
        error = TimeoutError(f"no answer within {2 * line.timeout_s:g} s")
    if error is not None:
        raise DownloadError(
            f"the sample photos at {line.base_url} cannot be reached ({reason_of(error)}); check "
            "the connection, or use photos of your own"
        ) from error


def _metadata(reserve: Reserve) -> str:
    return f"{reserve.code}/{reserve.metadata}"


def _photos(reserve: Reserve, line: _Line, skipped: _Skipped) -> list[_Photo]:
    """Read a reserve's list (COCO Camera Traps in a zip); keep photos with one known label."""
    try:
        with zipfile.ZipFile(BytesIO(line.get(_metadata(reserve)))) as archive:
            coco = json.loads(archive.read(archive.namelist()[0]))
        category = {row["id"]: str(row["name"]).lower() for row in coco["categories"]}
        labels: defaultdict[str, set[str]] = defaultdict(set)
        for row in coco["annotations"]:
            labels[row["image_id"]].add(category[row["category_id"]])
        found = [_photo(row, labels[row["id"]], reserve, skipped) for row in coco["images"]]
    except (OSError, HTTPException) as error:
        raise DownloadError(
            f"the list of photos {line.base_url}/{_metadata(reserve)} did not come "
            f"({reason_of(error)}); try again later, or use photos of your own"
        ) from error
    except DAMAGED as error:
        raise DownloadError(
            f"the list of photos {line.base_url}/{_metadata(reserve)} is damaged "
            f"({type(error).__name__}: {error}); expected COCO Camera Traps JSON in a zip"
        ) from error
    return [photo for photo in found if photo is not None]


def _photo(
    row: dict[str, object], labels: set[str], reserve: Reserve, skipped: _Skipped
) -> _Photo | None:
    if len(labels) != 1:
        skipped.add(reserve, f"{len(labels)} labels, expected one")
        return None
    (label,) = labels
    names = species_of(reserve, label)
    if names is None:
        skipped.add(reserve, f"category {label} is no species of our table")
        return None
    return _Photo(
        reserve=reserve,
        file_name=str(row["file_name"]),
        species=names[0],
        common_name=names[1],
        datetime=str(row.get("datetime") or ""),
        location=str(row.get("location") or ""),
        sequence=str(row.get("seq_id") or ""),
        frame=int(str(row.get("frame_num") or 1)),
    )


def _by_species(photos: Iterable[_Photo]) -> dict[tuple[str, str], list[_Photo]]:
    groups: defaultdict[tuple[str, str], list[_Photo]] = defaultdict(list)
    for photo in photos:
        groups[photo.reserve.code, photo.species].append(photo)
    return groups


def _choose(photos: Iterable[_Photo], photos_per_species: int) -> list[_Photo]:
    """Choose the same photos every time: first frames of bursts first, then second frames ..."""
    chosen: list[_Photo] = []
    for key, group in sorted(_by_species(photos).items()):
        group.sort(key=lambda photo: photo.file_name)
        random.Random("/".join(key)).shuffle(group)
        group.sort(key=lambda photo: photo.frame)
        chosen += group[:photos_per_species]
    return chosen


def _fetch(photos: Sequence[_Photo], folder: Path, line: _Line, skipped: _Skipped) -> None:
    """Fetch what is not there yet, with several threads."""
    missing = [photo for photo in photos if not (folder / photo.path).exists()]
    done = len(photos) - len(missing)
    with (
        progress("sample photos", len(photos), unit="photos", done=done) as step,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        try:
            problems = pool.map(_fetch_one, missing, repeat(folder), repeat(line))
            for photo, problem in zip(missing, problems, strict=True):
                step()
                if problem:
                    skipped.add(photo.reserve, problem)
        finally:
            line.stopped = True  # after an interrupt nothing waits for what is still queued


def _fetch_one(photo: _Photo, folder: Path, line: _Line) -> str:
    """Fetch one photo and write it whole or not at all; return what went wrong, or nothing."""
    if line.over:
        return TIME_OVER
    try:
        data = line.get(f"{photo.reserve.code}/{photo.reserve.code}_public/{photo.file_name}")
        keep_photo(data, folder / photo.path, LONGEST_SIDE_PX)
    except ImageError as error:
        return f"not a readable photo: {error}"
    except (OSError, HTTPException) as error:
        return reason_of(error)
    return ""


def _row(photo: _Photo) -> Sequence[object]:
    reserve = photo.reserve
    return (
        photo.path,
        photo.species,
        photo.common_name,
        reserve.latitude_deg,
        reserve.longitude_deg,
        UNCERTAINTY_M,
        photo.datetime,
        reserve.name,
        f"{reserve.code}-{photo.location}" if photo.location else "",
        photo.sequence,
        LICENCE,
        f"Snapshot Safari, {reserve.name} (LILA BC)",
    )


def _write_csv(path: Path, rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line: ``python -m homerange.data.sample_photos OUT``."""
    parser = argparse.ArgumentParser(
        prog="python -m homerange.data.sample_photos",
        description="Fetch a small public set of camera-trap photos (Snapshot Safari, LILA BC).",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("out", type=Path, help="folder for photos/ and manifest.csv")
    parser.add_argument("--photos-per-species", type=int, default=30, help="in each reserve")
    parser.add_argument("--budget-s", type=float, default=120, help="time for everything")
    parser.add_argument("--base-url", default=BASE_URL, help="where the photos are")
    options = vars(parser.parse_args(arguments))
    try:
        print(download_sample(options.pop("out"), **options))
    except (HomerangeError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
