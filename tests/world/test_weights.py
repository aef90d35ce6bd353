"""Reading rows of a safetensors file: as the library that wrote it, and no more than is needed."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load_file, save_file

from homerange.errors import WorldError
from homerange.world.weights import read_header, read_rows, read_tensor

TENSORS = {
    "rows": np.arange(12, dtype=np.float32).reshape(4, 3),
    "half": np.arange(6, dtype=np.float16).reshape(2, 3),
    "none": np.zeros((0, 3), np.float32),
    "one": np.array(7.0, np.float64),
}


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file(TENSORS, path, metadata={"who": "test"})
    return path


def raw_file(path, header, data=b""):
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_every_tensor_is_read_as_the_library_reads_it(weights):
    expected = load_file(weights)
    assert set(read_header(weights)) == set(expected)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(read_tensor(weights, name), tensor)


def test_the_offsets_point_at_the_bytes_of_each_tensor(weights):
    data = weights.read_bytes()
    for name, stored in read_header(weights).items():
        part = data[stored.offset_bytes : stored.offset_bytes + stored.size_bytes]
        assert part == TENSORS[name].tobytes()
        assert stored.shape == TENSORS[name].shape


@given(
    array=hnp.arrays(
        np.float32, hnp.array_shapes(min_dims=2, max_dims=2), elements=st.floats(-9, 9, width=32)
    ),
    axis=st.sampled_from([0, 1, -1]),
    data=st.data(),
)
def test_rows_and_columns_are_those_of_numpy(tmp_path_factory, array, axis, data):
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_file({"before": np.ones(3, np.float32), "w": array}, path)
    index_K = np.array(
        data.draw(st.lists(st.integers(0, array.shape[axis] - 1), max_size=6)), np.int64
    )
    got = read_rows(path, "w", index_K, axis=axis)
    np.testing.assert_array_equal(got, array[index_K] if axis == 0 else array[:, index_K])


def test_only_the_rows_asked_for_are_read(tmp_path):
    # 8 million rows of 2,048 numbers are 65 GB: more than can be held, but the file is a hole.
    rows, size = 8_000_000, 8_000_000 * 2048 * 4
    header = {"w": {"dtype": "F32", "shape": [rows, 2048], "data_offsets": [0, size]}}
    path = raw_file(tmp_path / "w.safetensors", header)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + size)
        file.seek(-4, 2)
        file.write(np.float32(3.5).tobytes())
    got = read_rows(path, "w", np.array([0, rows - 1]))
    assert got.shape == (2, 2048)
    assert got.sum() == 3.5


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WorldError, match=r"w\.safetensors: is missing or is no safetensors file"):
        read_header(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    "content",
    [b"", b"\x05", b"\x02\0\0\0\0\0\0\0[]", b"\xff" * 8, b"\x04\0\0\0\0\0\0\0{{{{"],
    ids=["empty", "short", "no object", "header too long", "no JSON"],
)
def test_a_file_that_is_no_safetensors_file_is_refused(tmp_path, content):
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(WorldError, match="is no safetensors file"):
        read_header(path)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 800]}, "a tensor at 0-800 of 8 bytes"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}, "a tensor at -8-0 of 8 bytes"),
        ({"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}, r"of shape \[3\] in 8 bytes"),
        ({"dtype": "F32", "shape": [2]}, "data_offsets"),
    ],
    ids=["behind the end", "before the start", "wrong shape", "no offsets"],
)
def test_a_tensor_that_does_not_lie_in_the_file_is_refused(tmp_path, entry, reason):
    path = raw_file(tmp_path / "w.safetensors", {"w": entry}, bytes(8))
    with pytest.raises(WorldError, match=reason):
        read_header(path)


def test_an_unknown_tensor_is_named_beside_known_ones(weights):
    with pytest.raises(WorldError, match=r"has no tensor 'head'; it has 4, the first"):
        read_tensor(weights, "head")


def test_a_tensor_that_numpy_has_no_float_for_is_refused(tmp_path):
    entry = {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}
    path = raw_file(tmp_path / "w.safetensors", {"w": entry}, bytes(8))
    with pytest.raises(WorldError, match="'w' has type BF16; expected F64, F32, F16"):
        read_tensor(path, "w")
