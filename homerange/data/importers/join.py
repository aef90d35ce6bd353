"""Several manifests as one, for a world that is trained on more than one collection of photos.

Splits stay as they are: a camera that was kept on one side before is kept there still. Image paths
become relative to the folder that all collections share.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from homerange.data.importers import Imported
from homerange.data.manifest import Manifest, schema
from homerange.errors import ManifestError

__all__ = ["join_manifests"]


def join_manifests(sources: Sequence[Path]) -> Imported:
    """Join manifests into one.

    Args:
        sources: Manifests, at least two, written by ``homerange import``.

    Returns:
        All rows in order. An observation id that stands in two manifests gets the number of its
        manifest in front (``2:id``), which a note counts.

    Raises:
        ManifestError: If there are fewer than two, or their photos share no folder.
    """
    if len(sources) < 2:
        raise ManifestError(f"join needs at least two manifests, got {len(sources)}")
    manifests = [Manifest.read(source) for source in sources]
    try:
        root = Path(os.path.commonpath([manifest.root.resolve() for manifest in manifests]))
    except ValueError as error:
        raise ManifestError("the photos of these manifests share no folder") from error
    seen: set[str] = set()
    renamed = 0
    tables = []
    for number, manifest in enumerate(manifests, start=1):
        ids = [str(one) for one in manifest.strings("observation_id")]
        clashes = seen.intersection(ids)
        renamed += len(clashes)
        ids = [f"{number}:{one}" if one in clashes else one for one in ids]
        seen.update(ids)
        tables.append(_moved(manifest, root, ids))
    notes = [f"{renamed:,} observation ids stood in two manifests and were numbered"] * (
        renamed > 0
    )
    return Imported(Manifest(pa.concat_tables(tables), root), [], notes)


def _moved(manifest: Manifest, root: Path, ids: list[str]) -> pa.Table:
    prefix = Path(os.path.relpath(manifest.root.resolve(), root)).as_posix()
    images = [_image(prefix, str(name)) for name in manifest.strings("image")]
    columns = {name: manifest.table[name] for name in schema().names}
    columns |= {"image": pa.array(images), "observation_id": pa.array(ids)}
    return pa.table(columns).cast(schema())


def _image(prefix: str, name: str) -> str:
    """Put the folder of a collection before a path, unless the path says where it is by itself."""
    if prefix == "." or "://" in name or Path(name).is_absolute():
        return name
    return f"{prefix}/{name}"
