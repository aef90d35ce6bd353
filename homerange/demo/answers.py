"""Photos with the answers of two models, for the page: small, and without EXIF."""

import base64
import io
import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from homerange.data.images import prepare, read_rgb
from homerange.errors import ImageError
from homerange.run.session import Session
from homerange.run.sources import find_photos

__all__ = ["Answered", "answer_photos"]

THUMB_PX = (320, 240)
QUALITY = 80


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One photo and what each model says."""

    picture: str
    """A ``data:`` address of a small JPEG that holds pixels only."""
    answers: tuple[tuple[str, float], ...]
    """Of each model, its best label and that label's probability."""


def answer_photos(
    source: Path, packages: Sequence[Path], *, most: int = 12
) -> tuple[Answered, ...]:
    """Run some models over a few photos of a source, drawn at random, always the same.

    Args:
        source: A folder, a photo or a list of photos.
        packages: The models.
        most: Photos that are shown; those that cannot be read are passed over.

    Raises:
        RunError: If there is no such source.
        PackageError: If a package is broken.
    """
    sessions = [Session.open(package) for package in packages]
    paths = sorted(photo.path for photo in find_photos(source) if not photo.problem)
    random.Random(0).shuffle(paths)
    return tuple(itertools.islice(_answered(paths, sessions), most))


def _answered(paths: Sequence[Path], sessions: Sequence[Session]) -> Iterator[Answered]:
    for path in paths:
        try:
            answers = tuple(_best(session, path) for session in sessions)
            yield Answered(picture=_thumbnail(path), answers=answers)
        except ImageError:
            continue


def _best(session: Session, path: Path) -> tuple[str, float]:
    package = session.package
    share_C = session.probabilities(prepare(path, package.preprocessing)[None])[0]
    best = int(np.argmax(share_C))
    return package.labels[best], float(share_C[best])


def _thumbnail(path: Path) -> str:
    """Write the pixels again, so that nothing else of the file is in the page."""
    image = Image.fromarray(read_rgb(path, at_least_px=min(THUMB_PX)))
    image.thumbnail(THUMB_PX)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
