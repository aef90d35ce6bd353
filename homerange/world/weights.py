"""The weights file of a world: safetensors that are, at the same time, ONNX external data.

A safetensors file is eight bytes with the length of a JSON header, the header, then the tensors
one after the other (https://github.com/huggingface/safetensors, "Format"). An ONNX initializer
may name a file, an offset and a length as its data. So the graph points into this file, and one
copy of the weights serves torch and ONNX Runtime.

Rows are read through a memory map: a place that keeps 300 of 5,089 classes reads those rows only.

Axes used in this file:
    K  rows or columns that are read
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from homerange.errors import WorldError

__all__ = ["StoredTensor", "read_header", "read_rows", "read_tensor"]

MAX_HEADER_BYTES = 100_000_000
"""The bound that safetensors itself sets."""

_DTYPES: Mapping[str, str] = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}


@dataclass(frozen=True)
class StoredTensor:
    """Where one tensor lies in a weights file."""

    dtype: str
    """As safetensors writes it, for example ``"F32"``."""
    shape: tuple[int, ...]
    offset_bytes: int
    """From the start of the file."""
    size_bytes: int


def read_header(path: str | Path) -> dict[str, StoredTensor]:
    """Read where each tensor of a safetensors file lies; no weights are read.

    Args:
        path: A ``.safetensors`` file.

    Returns:
        Tensors by name, in the order of their offsets.

    Raises:
        WorldError: If the file is missing or is no safetensors file, or a tensor lies outside it.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            header_bytes = int.from_bytes(file.read(8), "little")
            if header_bytes > MAX_HEADER_BYTES:
                raise ValueError(f"a header of {header_bytes:,} bytes")
            header = json.loads(file.read(header_bytes))
        start, end = 8 + header_bytes, path.stat().st_size
        tensors = [(n, _stored(t, start, end)) for n, t in header.items() if n != "__metadata__"]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise WorldError(
            f"{path}: is missing or is no safetensors file ({error}). Copy or download the world "
            "again"
        ) from error
    return dict(sorted(tensors, key=lambda item: item[1].offset_bytes))


def read_tensor(
    path: str | Path, name: str, *, header: Mapping[str, StoredTensor] | None = None
) -> NDArray[np.floating]:
    """Map one tensor into memory, read-only; its values are read when they are used.

    Args:
        path: A ``.safetensors`` file.
        name: Name of the tensor.
        header: What :func:`read_header` says of the file, where it is known already.

    Raises:
        WorldError: If the file has no such tensor, or its type is not a float of numpy.
    """
    header = header or read_header(path)
    if name not in header:
        raise WorldError(
            f"{path}: has no tensor {name!r}; it has {len(header)}, the first "
            f"{', '.join(list(header)[:3])}. Publish the world again"
        )
    tensor = header[name]
    if tensor.dtype not in _DTYPES:
        raise WorldError(
            f"{path}: tensor {name!r} has type {tensor.dtype}; expected {', '.join(_DTYPES)}"
        )
    dtype = _DTYPES[tensor.dtype]
    if tensor.size_bytes == 0:  # nothing can be mapped
        return np.empty(tensor.shape, dtype)
    return np.memmap(path, dtype, "r", tensor.offset_bytes, tensor.shape)


def read_rows(
    path: str | Path,
    name: str,
    index_K: NDArray[np.integer],
    *,
    axis: int = 0,
    header: Mapping[str, StoredTensor] | None = None,
) -> NDArray[np.floating]:
    """Read some rows of a tensor, in the order asked for, without reading the others.

    Args:
        path: A ``.safetensors`` file.
        name: Name of the tensor.
        index_K: Rows to read, each in [0, size of the axis). Shape (K,).
        axis: 0 for rows, 1 for columns, -1 for the last axis.
        header: As in :func:`read_tensor`.

    Returns:
        A copy with K entries along ``axis``.

    Raises:
        WorldError: If the file has no such tensor.
    """
    # Not numpy.take: it copies the whole tensor first where that is not aligned in the file.
    tensor = np.moveaxis(read_tensor(path, name, header=header), axis, 0)
    return np.ascontiguousarray(np.moveaxis(tensor[index_K], 0, axis))


def _stored(entry: Mapping[str, list[int]], start: int, end: int) -> StoredTensor:
    first, last = entry["data_offsets"]
    dtype, shape = str(entry["dtype"]), tuple(int(size) for size in entry["shape"])
    if not 0 <= first <= last <= end - start:
        raise ValueError(f"a tensor at {first}-{last} of {end - start} bytes")
    if dtype in _DTYPES and last - first != np.dtype(_DTYPES[dtype]).itemsize * int(
        np.prod(shape, dtype=np.int64)
    ):
        raise ValueError(f"a tensor of shape {list(shape)} in {last - first} bytes")
    return StoredTensor(dtype, shape, start + first, last - first)
