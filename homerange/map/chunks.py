"""Data of the page as scripts: the only form that a browser also takes from a folder on disk.

A chunk is facts (JSON) and arrays. Its bytes are: the length of the head (uint32, little endian),
the head (JSON: the facts, and of each array its name, type, offset and length), then the arrays,
each beginning at a multiple of 8. They are compressed by gzip, written as base64 and handed over by
one statement of JavaScript. ``static/js/chunks.js`` reads them.
"""

import base64
import gzip
import json
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["chunk_script", "smallest_unsigned", "text_script"]

_TYPES = {"u1", "u2", "u4", "u8", "f4", "f8"}


def chunk_script(
    name: str, facts: Mapping[str, object], arrays: Mapping[str, NDArray[np.generic]]
) -> str:
    """Write a chunk.

    Args:
        name: What the page calls it.
        facts: Plain values.
        arrays: Of unsigned integers or floats of 4 or 8 bytes, by name; their shape is not kept.

    Example:
        >>> chunk_script("few", {}, {"a": np.arange(3, dtype=np.uint8)})[:50]
        '(globalThis.homerangeChunks ??= {})["few"]="H4sIAA'
    """
    return text_script(name, base64.b64encode(gzip.compress(_pack(facts, arrays), mtime=0)))


def text_script(name: str, base64_text: bytes) -> str:
    """Write the statement that hands a text over to the page."""
    return f'(globalThis.homerangeChunks ??= {{}})[{json.dumps(name)}]="{base64_text.decode()}";\n'


def smallest_unsigned(values_N: NDArray[np.generic]) -> NDArray[np.unsignedinteger]:
    """Store whole numbers of 0 or more in as few bytes as the largest of them needs.

    Example:
        >>> smallest_unsigned(np.array([0, 300])).dtype
        dtype('uint16')
    """
    largest = int(values_N.max()) if len(values_N) else 0
    return values_N.astype(np.min_scalar_type(largest))


def _pack(facts: Mapping[str, object], arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    parts = {name: _little_endian(array) for name, array in arrays.items()}
    listed = [
        {"name": name, "type": array.dtype.str[1:], "offset": 0, "length": array.size}
        for name, array in parts.items()
    ]
    head_bytes = len(_head(facts, listed)) + 16 * len(parts)  # room for the offsets themselves
    offset = _next_8(4 + head_bytes)
    for entry, array in zip(listed, parts.values(), strict=True):
        entry["offset"] = offset
        offset = _next_8(offset + array.nbytes)
    data = bytearray(offset)
    head = _head(facts, listed).ljust(head_bytes)
    data[:4] = np.uint32(len(head)).tobytes()
    data[4 : 4 + len(head)] = head
    for entry, array in zip(listed, parts.values(), strict=True):
        start = int(str(entry["offset"]))
        data[start : start + array.nbytes] = array.tobytes()
    return bytes(data)


def _head(facts: Mapping[str, object], listed: list[dict[str, object]]) -> bytes:
    text = json.dumps({"facts": facts, "arrays": listed}, ensure_ascii=False, allow_nan=False)
    return text.encode()


def _little_endian(array: NDArray[np.generic]) -> NDArray[np.generic]:
    found = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"))
    if found.dtype.str[1:] not in _TYPES:
        raise ValueError(f"a chunk cannot hold {array.dtype}; expected one of {sorted(_TYPES)}")
    return found


def _next_8(offset: int) -> int:
    return -(-offset // 8) * 8
