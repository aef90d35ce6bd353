"""Image paths of a table against the files on disk.

Two things go wrong in real tables: paths written on Windows, and letters such as "é" that a Mac
spells as two signs (Unicode form D) and everyone else as one (form C). Both still find the file.
"""

import os
import posixpath
import unicodedata
from pathlib import Path

__all__ = ["PhotoFolder", "image_key"]


def image_key(image: str) -> str:
    r"""Return an image path in the one form of the manifest: forward slashes, no ``./``.

    Example:
        >>> image_key(".\\day 1\\IMG_1.JPG"), image_key("https://a.org/x//1.jpg")
        ('day 1/IMG_1.JPG', 'https://a.org/x//1.jpg')
    """
    return image if "://" in image else posixpath.normpath(image.replace("\\", "/"))


class PhotoFolder:
    """The files under a folder; each subfolder is listed once, so a million look-ups are quick."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[str, dict[str, str]] = {}

    def find(self, image: str) -> str | None:
        """Return an image path as the disk spells it, relative to the folder where it can be.

        An address on the web is returned as it is; a file that is not there gives None.
        """
        if "://" in image:
            return image
        if image.startswith("..") or Path(image).is_absolute():
            return self._outside(image)
        parent, _, name = image.rpartition("/")
        if parent not in self._names:
            self._names[parent] = self._list(parent)
        return self._names[parent].get(unicodedata.normalize("NFC", name))

    def _outside(self, image: str) -> str | None:
        path = self._root / image
        if not path.is_file():
            return None
        root = self._root.resolve()
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else image

    def _list(self, parent: str) -> dict[str, str]:
        actual = self.find(parent) if parent else ""
        if actual is None or not (self._root / actual).is_dir():
            return {}
        names = os.listdir(self._root / actual)
        return {unicodedata.normalize("NFC", name): posixpath.join(actual, name) for name in names}
