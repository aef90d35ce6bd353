"""Files that appear whole or not at all.

A reader never sees half a package, and a run that dies leaves the last good file in place. The
new file is written beside the old one and renamed over it, which POSIX and Windows do in one step.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["atomic_file"]


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
