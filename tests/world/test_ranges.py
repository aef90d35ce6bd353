"""Ranges of activations: a place has the union of its species', and older worlds have none."""

import numpy as np
import pytest
from fakes import build_world

from homerange.errors import WorldError
from homerange.world.parquet import strings
from homerange.world.ranges import Ranges
from homerange.world.world import open_world, seal_world


@pytest.fixture
def folder(tmp_path):
    ranges = Ranges(
        class_index=np.array([0, 0, 2, 2], np.int32),
        value=strings(["stem", "logits", "stem", "logits"]),
        low=np.array([-1.5, 0.0, -0.5, -4.0], np.float32),
        high=np.array([2.0, 0.25, 8.0, 0.0], np.float32),
    )
    ranges.write(build_world(tmp_path / "world"))
    return tmp_path / "world"


def test_the_range_of_a_place_is_the_union_of_those_of_its_classes(folder):
    assert Ranges.over(folder, np.array([0])) == {"logits": (0.0, 0.25), "stem": (-1.5, 2.0)}
    both = {"logits": (-4.0, 0.25), "stem": (-1.5, 8.0)}
    assert Ranges.over(folder, np.array([0, 1, 2])) == both
    assert Ranges.over(folder, np.array([1])) == {}  # no validation photos of that class


def test_the_file_is_sealed_with_the_others_where_it_is_there(folder):
    assert Ranges.file not in open_world(folder).files
    seal_world(folder, open_world(folder).description)
    assert Ranges.file in open_world(folder).files
    (folder / Ranges.file).unlink()
    with pytest.raises(WorldError, match=r"lacks ranges\.parquet; world\.json lists 7 files"):
        open_world(folder)


def test_a_world_without_ranges_opens_and_says_how_to_get_them(tmp_path):
    world = open_world(build_world(tmp_path / "older"))
    expected = r"older: has no ranges\.parquet, which worlds have since version 3. Publish it again"
    with pytest.raises(WorldError, match=expected):
        Ranges.over(world.path, np.array([0]))
