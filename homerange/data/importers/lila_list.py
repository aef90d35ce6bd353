"""LILA's list of all its photos, and a bounded choice from it.

Source: ``lila_image_urls_and_labels.csv``, one row for each label of each photo, as MegaDetector's
``generate_lila_per_image_labels.py`` writes it: addresses at three clouds, ids with the name of the
data set in front, the label of the data set and its taxon.

The list has many millions of rows. It is read once, piece by piece, out of the zip; the rows of the
data sets that are wanted go into DuckDB, which spills to disk what does not fit into memory.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from homerange.data.importers.lila_data_sets import plain_name
from homerange.errors import ManifestError
from homerange.extras import need
from homerange.progress import progress

if TYPE_CHECKING:
    import duckdb

__all__ = ["Choice", "LilaList"]

_COLUMNS = (
    "dataset_name", "image_id", "sequence_id", "location_id", "frame_num", "url_gcp", "url_aws",
    "url_azure", "original_label", "scientific_name", "common_name", "annotation_level",
    "datetime", "class", "order", "family", "genus",
)  # fmt: skip
_NEEDED = ("dataset_name", "image_id", "url_gcp", "original_label", "scientific_name")
_BLOCK_BYTES = 1 << 24
_HEADER_BYTES = 1 << 12
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, pa.ArrowInvalid, UnicodeDecodeError)
_PERSON = "person"
_ALL = 2**62

_File: TypeAlias = io.BufferedReader | zipfile.ZipExtFile


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which photos of the list to take."""

    species: frozenset[str] = frozenset()
    """Class keys; where empty, all but people, most of whose photos LILA withholds."""
    per_species: int | None = None
    """At most so many photos for each; one that shows two species counts for both."""
    photos: int | None = None
    """At most so many in all: first one of each species, then a second of each ..."""
    seed: int = 0


class LilaList:
    """The rows of some data sets of the list, open for choosing."""

    def __init__(self, connection: "duckdb.DuckDBPyConnection") -> None:
        self._connection = connection
        self.data_sets: set[str] = set()
        """Names of all data sets in the list."""
        self.unreadable = 0
        """Lines with too few or too many cells."""

    @classmethod
    @contextmanager
    def open(cls, path: Path, wanted: Sequence[str], spill: Path) -> Iterator["LilaList"]:
        """Read the rows of some data sets.

        Args:
            path: The list, as CSV or as a zip with one CSV.
            wanted: Names of data sets; accents, capitals and signs do not count.
            spill: Folder for what does not fit into memory.

        Raises:
            ManifestError: If the list is damaged or lacks columns.
            ExtraNotInstalled: If DuckDB is absent.
        """
        settings = {"autoinstall_known_extensions": False, "temp_directory": str(spill)}
        with need("duckdb").connect(config=settings) as connection:
            columns = ", ".join(f'"{name}" VARCHAR' for name in _COLUMNS)
            connection.execute(f"CREATE TABLE listed (row BIGINT, {columns})")
            listed = cls(connection)
            try:
                with _lines(path) as (file, size_bytes):
                    listed._fill(file, size_bytes, {plain_name(name) for name in wanted}, path)
            except _DAMAGED as error:
                raise ManifestError(
                    f"{path}: LILA's list is damaged ({error}). Delete it and give the same "
                    "command again, to download it anew"
                ) from error
            yield listed

    def labels(self) -> list[tuple[str, str]]:
        """Return scientific name and original label of all labels, each once."""
        query = "SELECT DISTINCT scientific_name, original_label FROM listed ORDER BY ALL"
        labels: list[tuple[str, str]] = self._connection.execute(query).fetchall()
        return labels

    def choose(
        self, choice: Choice, species_of: Mapping[tuple[str, str], str | None]
    ) -> dict[str, list[str]]:
        """Choose photos: the same every time, from many bursts and cameras, first frames first.

        Args:
            choice: What to take.
            species_of: Class key of each of ``labels()``; None for no label.

        Returns:
            Columns of the list for all labels of the chosen photos, in the order of the list, with
            ``row`` (data row, counted from 1), ``species`` (empty for none) and ``observation_id``.
        """
        fields = ("scientific_name", "original_label", "species")
        classes = [
            dict(zip(fields, (*label, species or ""), strict=True))
            for label, species in species_of.items()
        ]
        text = pa.schema([(name, pa.string()) for name in fields])
        self._connection.register("classes", pa.Table.from_pylist(classes, schema=text))
        self._connection.execute(_LABELLED)
        parameters = {
            "species": sorted(choice.species),
            "per_species": choice.per_species,
            "photos": _ALL if choice.photos is None else choice.photos,
            "seed": str(choice.seed),
        }
        found = self._connection.execute(_CHOOSE, parameters)
        names = [str(column[0]) for column in found.description or ()]
        rows = found.fetchall()
        return {name: [row[i] for row in rows] for i, name in enumerate(names)}

    def people(self) -> int:
        """Count the photos that show people; ask after ``choose``."""
        query = f"SELECT count(DISTINCT image_id) FROM labelled WHERE species = '{_PERSON}'"
        (count,) = self._connection.execute(query).fetchone() or (0,)
        return int(count)

    def _fill(self, file: _File, size_bytes: int, wanted: set[str], path: Path) -> None:
        """Put the rows of the wanted data sets into the database."""
        _check_header(file.peek(_HEADER_BYTES).split(b"\n")[0].decode("utf-8-sig"), path)
        row = 0
        mib = -(-size_bytes >> 20)
        with (
            progress("read LILA's list", mib, unit="MiB") as step,
            self._reader(file) as reader,
        ):
            shown = 0
            for batch in reader:
                names = set(batch["dataset_name"].unique().to_pylist())
                self.data_sets |= names
                keep = [name for name in names if plain_name(name) in wanted]
                rows = pa.array(range(row + 1, row + len(batch) + 1), pa.int64())
                row += len(batch)
                if keep:
                    mask = pc.is_in(batch["dataset_name"], pa.array(keep, pa.string()))
                    kept = pa.Table.from_batches([batch]).add_column(0, "row", rows).filter(mask)
                    self._connection.register("batch", kept)
                    self._connection.execute(_INSERT)
                step((file.tell() >> 20) - shown)
                shown = file.tell() >> 20

    def _reader(self, file: _File) -> csv.CSVStreamingReader:
        def skip(_: csv.InvalidRow) -> str:
            """Count a line that cannot be read, and go on."""
            self.unreadable += 1
            return "skip"

        return csv.open_csv(
            file,
            csv.ReadOptions(block_size=_BLOCK_BYTES),
            csv.ParseOptions(invalid_row_handler=skip),
            csv.ConvertOptions(
                column_types=dict.fromkeys(_COLUMNS, pa.string()),
                include_columns=list(_COLUMNS),
                include_missing_columns=True,
            ),
        )


@contextmanager
def _lines(path: Path) -> Iterator[tuple[_File, int]]:
    """Open the CSV, in its zip or by itself, and say how large it is."""
    if path.suffix != ".zip":
        with path.open("rb") as plain:
            yield plain, path.stat().st_size
        return
    with zipfile.ZipFile(path) as archive:
        member = next((one for one in archive.infolist() if one.filename.endswith(".csv")), None)
        if member is None:
            raise zipfile.BadZipFile("it holds no .csv")
        with archive.open(member) as packed:
            yield cast(zipfile.ZipExtFile, packed), member.file_size


def _check_header(header: str, path: Path) -> None:
    missing = [name for name in _NEEDED if name not in header.strip().replace('"', "").split(",")]
    if missing:
        raise ManifestError(
            f"{path}: is not LILA's list, it lacks the columns {', '.join(missing)}. Delete it and "
            "give the same command again, to download it anew"
        )


_INSERT = "INSERT INTO listed SELECT row, coalesce(COLUMNS(* EXCLUDE row), '') FROM batch"

_LABELLED = """
    CREATE TABLE labelled AS
    SELECT listed.*, classes.species
    FROM listed JOIN classes USING (scientific_name, original_label)
    QUALIFY row_number() OVER (PARTITION BY image_id, species ORDER BY row) = 1
"""
"""Two labels of a photo may mean one species (lion and lioness): it is one row."""

_CHOOSE = f"""
    WITH wanted AS (
        SELECT *, md5($seed || image_id) AS shuffled, TRY_CAST(frame_num AS DOUBLE) AS frame
        FROM labelled
        WHERE species IN (SELECT unnest($species::VARCHAR[]))
            OR len($species::VARCHAR[]) = 0
            AND image_id NOT IN (SELECT image_id FROM labelled WHERE species = '{_PERSON}')
    ), bursts AS (
        SELECT *, row_number() OVER (
            PARTITION BY species, sequence_id, if(sequence_id LIKE '% : unknown', image_id, '')
            ORDER BY frame NULLS FIRST, shuffled
        ) AS nth_of_burst FROM wanted
    ), cameras AS (
        SELECT *, row_number() OVER (
            PARTITION BY species, location_id, nth_of_burst ORDER BY shuffled
        ) AS nth_of_camera FROM bursts
    ), ranked AS (
        SELECT *, row_number() OVER (
            PARTITION BY species ORDER BY nth_of_burst, nth_of_camera, shuffled
        ) AS nth FROM cameras
    ), chosen AS (
        SELECT image_id FROM ranked WHERE nth <= coalesce($per_species, nth)
        GROUP BY image_id ORDER BY min(nth), min(shuffled) LIMIT $photos
    ), numbered AS (
        SELECT *, row_number() OVER (PARTITION BY image_id ORDER BY row) AS number FROM labelled
    )
    SELECT * EXCLUDE (number), image_id || if(number = 1, '', '#' || number) AS observation_id
    FROM numbered JOIN chosen USING (image_id) ORDER BY row
"""
