"""The verb ``report tables``: the tables of the paper, for one's own photos and checkpoints.

Table 1 is of the manifest alone; tables 2 and 3 and the sizes are of checkpoints. The paper's
numbers stand in columns that begin with ``paper``; :mod:`homerange.report.paper` says what is
doubtful about them.

Where we differ from the paper, and why: accuracy at a location also stands there for a network that
may name the classes of the location only, because that is what a package does; every share has its
number of photos and a 95 % interval.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from homerange.data.manifest import Manifest
from homerange.errors import ConfigError
from homerange.report.files import (
    Columns,
    Written,
    make_folder,
    unreadable_note,
    write_csv,
    write_markdown,
)
from homerange.report.locations import locations_of
from homerange.report.measured import measure
from homerange.report.paper import PAPER_NOTES
from homerange.report.table_rows import (
    location_rows,
    overall_rows,
    place_rows,
    readable,
    size_rows,
)

__all__ = ["named_checkpoints", "write_tables"]

COUNTED = "n is the number of test photos; after a share its 95 % interval (Wilson)."
TABLES = {
    "table1": (
        "Table 1: photos and classes of each location",
        "test: photos from anywhere of a class that the training photos of the location show.",
    ),
    "table2": (
        "Table 2: top-1 in percent, over all test photos",
        f"{COUNTED} known cameras are in the training photos too (the paper's ID), new cameras are "
        "not (OOD); both are empty where the manifest names no cameras.",
    ),
    "table3": (
        "Table 3: top-1 in percent at each location",
        f"{COUNTED} all classes: the network may name any of its classes, as in the paper; listed: "
        "those of the location only, as a package does.",
    ),
    "sizes": (
        "Sizes: parameters, and operations for one photo",
        "active: the parameters that answer for one patch. MACs: products, gates and the chosen "
        "experts too. as paper: products and sums with a bias at 256 px, without gates and "
        "experts. The last rows are the paper's own networks, built again and counted.",
    ),
}
"""Title and first note of each table, in the order in which they are written."""


def named_checkpoints(texts: Sequence[str]) -> dict[str, Path]:
    """Read ``NAME=FOLDER``, or a folder whose name is to be used.

    Raises:
        ConfigError: If two have the same name.

    Example:
        >>> named_checkpoints(["dense=runs/1", "runs/experts"])["experts"].as_posix()
        'runs/experts'
    """
    found: dict[str, Path] = {}
    for text in texts:
        name, equals, folder = text.partition("=")
        path = Path(folder if equals else text)
        name = name if equals else path.resolve().name
        if name in found:
            raise ConfigError(
                f"two checkpoints are named {name!r}; give them different names: NAME=FOLDER"
            )
        found[name] = path
    return found


def write_tables(
    manifest: Path,
    output: Path,
    *,
    checkpoints: Mapping[str, Path],
    places: str = "iNat-Geo-10K-6",
) -> Written:
    """Measure and write the tables; those of an earlier time in the same folder are replaced.

    Args:
        manifest: The photos, with splits.
        output: Folder of the tables; made if absent.
        checkpoints: By name. One that is named as a row of the paper stands beside that row:
            ``dense``, ``loc-all``, ``loc-last-two`` in table 2; ``dense``, ``dense-6``,
            ``dense-1``, ``moe``, ``moe-6``, ``moe-6-loc``, ``moe-1`` in table 3.
        places: The locations, as :func:`homerange.report.locations.locations_of` takes them.

    Raises:
        CheckpointError: If a checkpoint has no classes, or a file is missing or damaged.
        ManifestError: If there is no labelled test photo, none can be read, or a place is none.
        RunError: If the folder or a table cannot be written.
    """
    photos = Manifest.read(manifest)
    locations = locations_of(photos, places)
    make_folder(output)
    measured = [
        measure(name, folder, manifest, photos, locations) for name, folder in checkpoints.items()
    ]
    columns = {"table1": location_rows(locations, places)}
    if measured:
        columns["table2"] = overall_rows(measured)
        columns["table3"] = place_rows(measured, locations, places)
    columns["sizes"] = size_rows(measured, places)
    bad = {photo.image for one in measured for photo in one.evaluation.unreadable}
    notes = (unreadable_note(len(bad), "test"),) if bad else ()
    paths = [_write(output, name, found) for name, found in columns.items()]
    return Written(paths=tuple(paths), notes=notes, unreadable=len(bad))


def _write(folder: Path, name: str, columns: Columns) -> Path:
    """Write a table as CSV and as Markdown; return the latter."""
    title, note = TABLES[name]
    write_csv(columns, folder / f"{name}.csv")
    write_markdown(title, readable(columns), [note, PAPER_NOTES[name]], folder / f"{name}.md")
    return folder / f"{name}.md"
