"""The table of a GBIF download, wherever it lies: in a zip, in a folder, or by itself.

Source: the download formats of GBIF (https://techdocs.gbif.org/en/data-use/download-formats). A
"simple" download is a zip with one ``.csv``; a Darwin Core Archive holds ``occurrence.txt`` beside
others. Both tables are UTF-8 with tabs, without quotes, under a header of Darwin Core terms.
"""

import shutil
import zipfile
import zlib
from pathlib import Path

from homerange.errors import OccurrenceError
from homerange.progress import progress

__all__ = ["columns_of", "download_name", "find_table"]

_ARCHIVE_TABLE = "occurrence.txt"
_PIECE_BYTES = 1 << 20


def download_name(source: Path) -> str:
    """Name a download by its key, which GBIF writes into the name of the file.

    Example:
        >>> download_name(Path("0012345-250117142028555.zip"))
        'GBIF 0012345-250117142028555'
        >>> download_name(Path("0012345-250117142028555/occurrence.txt"))
        'GBIF 0012345-250117142028555'
    """
    inside = source.name == _ARCHIVE_TABLE
    return f"GBIF {(source.resolve().parent if inside else source).stem}"


def find_table(source: Path, spill: Path) -> Path:
    """Find the table of a download; a zipped one is unzipped.

    Args:
        source: The zip, its folder, or the table.
        spill: Folder to unzip into.

    Raises:
        OccurrenceError: If there is no such file, the zip is damaged or holds no table of
            occurrences, or there is no room to unzip it.
    """
    table = source / _ARCHIVE_TABLE if source.is_dir() else source
    if not table.is_file():
        raise OccurrenceError(
            f"{table}: no such file. Expected a GBIF download: a zip, or the table in it"
        )
    if table.suffix.lower() != ".zip":
        return table
    try:
        with zipfile.ZipFile(table) as archive:
            return _unzip(archive, _member(archive, table), spill, table)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise OccurrenceError(
            f"{table}: the zip is damaged ({error}). Download it again"
        ) from error
    except OSError as error:
        raise OccurrenceError(f"{table}: cannot be unzipped ({error})") from error


def columns_of(table: Path, needed: tuple[str, ...]) -> list[str]:
    """Read the header of a table.

    Args:
        table: The table of a download.
        needed: Columns that it must have.

    Raises:
        OccurrenceError: If the file cannot be read or lacks a column.
    """
    try:
        with table.open(encoding="utf-8-sig") as file:
            columns = file.readline().rstrip("\r\n").split("\t")
    except (OSError, UnicodeDecodeError) as error:
        raise OccurrenceError(f"{table}: cannot be read ({error})") from error
    missing = [name for name in needed if name not in columns]
    if missing:
        raise OccurrenceError(
            f"{table.name}: lacks the columns {', '.join(missing)}; it begins with "
            f"{', '.join(columns[:5])}. Expected a GBIF download: simple (tab separated), or a "
            "Darwin Core Archive"
        )
    return columns


def _member(archive: zipfile.ZipFile, source: Path) -> zipfile.ZipInfo:
    files = archive.infolist()
    found = [one for one in files if Path(one.filename).name == _ARCHIVE_TABLE] or [
        one for one in files if one.filename.endswith(".csv")
    ]
    if len(found) != 1:
        raise OccurrenceError(
            f"{source}: the zip holds {len(found)} tables of occurrences, expected one .csv (a "
            "simple download) or occurrence.txt (a Darwin Core Archive); it begins with "
            f"{', '.join(one.filename for one in files[:5]) or 'nothing'}"
        )
    return found[0]


def _unzip(archive: zipfile.ZipFile, member: zipfile.ZipInfo, spill: Path, source: Path) -> Path:
    free = shutil.disk_usage(spill).free
    if member.file_size > free:
        raise OccurrenceError(
            f"{source}: unzipped it has {member.file_size:,} bytes; only {free:,} are free in "
            f"{spill.parent}. Write the output where there is room"
        )
    table = spill / _ARCHIVE_TABLE
    pieces = -(-member.file_size // _PIECE_BYTES)
    with (
        progress("unzip", pieces, unit="MiB") as step,
        archive.open(member) as packed,
        table.open("wb") as file,
    ):
        while piece := packed.read(_PIECE_BYTES):
            file.write(piece)
            step()
    return table
