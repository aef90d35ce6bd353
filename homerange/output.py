"""Files that are written: refused before the work where they cannot be, and whole after it.

A reader never sees half a package, and a run that dies leaves the last good file in place. The
new file is written beside the old one and renamed over it, which POSIX and Windows do in one step.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from homerange.errors import HomerangeError

__all__ = ["atomic_file", "atomic_folder", "obstacle", "writing"]


def obstacle(path: Path, *, inputs: Iterable[Path] = ()) -> str | None:
    """Find out before hours of work, not after, that a file cannot be written.

    Args:
        path: The file to make or replace; its folder need not exist yet.
        inputs: Files that the work reads, and that must not be replaced by what it gives.

    Returns:
        What is in the way and what to do, to stand behind the path in a message; or None.

    Example:
        >>> import tempfile
        >>> obstacle(Path(tempfile.mkdtemp()))
        'is a folder; expected the name of a file to write'
    """
    if os.path.isdir(path):  # unlike Path.is_dir, never an error
        return "is a folder; expected the name of a file to write"
    for one in inputs:
        if os.path.exists(path) and os.path.exists(one) and path.samefile(one):
            return f"is read too ({one}), and would be lost. Choose another output"
    folder = next(above for above in path.absolute().parents if os.path.exists(above))
    if not folder.is_dir():
        return f"{folder} is a file, not a folder. Choose another output"
    if not os.access(folder, os.W_OK):
        return f"the folder {folder} cannot be written to. Choose another output"
    return None


@contextmanager
def writing(path: Path, error: type[HomerangeError]) -> Iterator[None]:
    """Turn what goes wrong while ``path`` is written into an error of ours.

    Raises:
        HomerangeError: Of the type ``error``, if an OSError leaves the block.
    """
    try:
        yield
    except OSError as cause:
        reason = cause.strerror or cause
        raise error(
            f"{path}: cannot be written ({reason}). Make room, or choose another output"
        ) from cause


@contextmanager
def atomic_file(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of ``path`` when the block ends without an error.

    Args:
        path: The file to make or replace; its folder must exist.

    Yields:
        A binary file to write to.

    Raises:
        OSError: If the folder is missing, full or read-only.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "labels.txt"
        >>> with atomic_file(path) as file:
        ...     file.write(b"Vulpes vulpes")
        ...     path.exists()
        13
        False
        >>> path.read_text()
        'Vulpes vulpes'
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Make a folder that takes the place of ``path`` when the block ends without an error.

    A folder cannot be renamed over one that holds files, so for a moment there is none at
    ``path``; whoever dies in that moment leaves the old one beside it, as ``.NAME.old``.

    Args:
        path: The folder to make or replace; the one above it must exist.

    Yields:
        An empty folder to fill.

    Raises:
        OSError: If the folder above is missing, full or read-only.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "package"
        >>> for text in ("old", "new"):
        ...     with atomic_folder(path) as folder:
        ...         _ = (folder / "a.txt").write_text(text)
        >>> (path / "a.txt").read_text(), len(list(path.parent.iterdir()))
        ('new', 1)
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    old = path.with_name(f".{path.name}.old")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        yield part
        shutil.rmtree(old, ignore_errors=True)
        if path.exists():
            path.rename(old)
        part.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)
