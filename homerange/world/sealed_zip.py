"""A zip with a fixed set of members: the same content gives the same bytes; reading is bounded.

The archive may come from a stranger, so before anything is unpacked the names must be exactly the
expected ones (no folders, no climbing paths, no doubles) and the sizes must be within bounds.
``zipfile`` itself never yields more bytes than the directory states, and checks their CRC.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping

from homerange.errors import PackageError

__all__ = ["MAX_TOTAL_BYTES", "pack", "unpack"]

MAX_TOTAL_BYTES = 512 * 10**6
MAX_RATIO = 100
"""Times that a member may grow by unpacking. Weights shrink to 0.9, our texts to about 0.1."""

# What zipfile raises on damaged, encrypted (RuntimeError) or hostile files.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError)
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def pack(members: Mapping[str, bytes]) -> bytes:
    """Zip ``members`` so that equal content gives equal bytes on every system.

    Members are stored without compression (weights hardly shrink), sorted, with fixed times.

    Example:
        >>> pack({"a": b"1", "b": b"2"}) == pack({"b": b"2", "a": b"1"})
        True
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, _ZIP_EPOCH)
            info.create_system = 3  # Unix, whatever system writes it
            info.external_attr = 0o644 << 16
            archive.writestr(info, members[name])
    return buffer.getvalue()


def unpack(data: bytes, names: Iterable[str]) -> dict[str, bytes]:
    """Unzip ``data``, which must hold exactly the members ``names``.

    Returns:
        The content of each member, by name.

    Raises:
        PackageError: If it is no zip, is damaged, holds other members or is too large.

    Example:
        >>> unpack(pack({"a": b"1"}), ["a"])
        {'a': b'1'}
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            _check_names([info.filename for info in infos], sorted(names))
            _check_sizes(infos)
            return {info.filename: archive.read(info) for info in infos}
    except PackageError:
        raise
    except _ZIP_ERRORS as error:
        raise PackageError(f"expected an undamaged zip file, found: {error}") from error


def _check_names(found: list[str], expected: list[str]) -> None:
    unknown = sorted(set(found) - set(expected))
    if unknown:
        raise PackageError(f"holds {unknown[0]!r}, expected only {', '.join(expected)}")
    if len(found) != len(set(found)):
        raise PackageError(f"holds a member twice: {', '.join(sorted(found))}")
    missing = sorted(set(expected) - set(found))
    if missing:
        raise PackageError(f"lacks {', '.join(missing)}")


def _check_sizes(infos: list[zipfile.ZipInfo]) -> None:
    total_bytes = sum(info.file_size for info in infos)
    if total_bytes > MAX_TOTAL_BYTES:
        raise PackageError(f"unpacks to {total_bytes:,} bytes, expected <= {MAX_TOTAL_BYTES:,}")
    for info in infos:
        if info.compress_type not in _COMPRESSIONS:
            raise PackageError(
                f"{info.filename} is packed by method {info.compress_type}, "
                "expected stored or deflated"
            )
        if info.file_size > MAX_RATIO * max(info.compress_size, 1):
            raise PackageError(
                f"{info.filename} grows from {info.compress_size:,} to {info.file_size:,} bytes, "
                f"expected <= {MAX_RATIO} times"
            )
