"""Another side of the photos: the graph becomes the one that an export at that side would be."""

import numpy as np
import onnx
import onnxruntime
import pytest
from fakes import build_world
from onnx import helper, numpy_helper
from tiny_world import expert_world

from homerange.errors import ConfigError
from homerange.profile.export import export_graph
from homerange.specialize.count import count_macs
from homerange.specialize.cut import cut_world
from homerange.specialize.input_side import at_side
from homerange.world.world import open_world


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The real network: cut from a world for 32 pixels, and as torch has it."""
    folder, network = expert_world(tmp_path_factory.mktemp("network") / "world", input_px=32)
    world = open_world(folder)
    return onnx.load_from_string(cut_world(world, np.arange(len(world.labels)))), network


def answers(model, px):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    photos = np.random.default_rng(px).integers(0, 256, (3, px, px, 3)).astype(np.uint8)
    return onnxruntime.InferenceSession(model, options).run(["logits"], {"image": photos})[0]


# 32 px: maps of 4, 2 and 1 pixels, the last stretched to 2. 64: 8, 4, 2. 48: 6, 3 and 2, the
# middle one stretched to 4.
@pytest.mark.parametrize("px", [64, 48])
def test_a_graph_at_another_side_answers_as_one_exported_at_it(made, tmp_path, px):
    model, network = made
    export_graph(network, tmp_path, input_px=px)
    changed = at_side(model, px)
    expected = answers(str(tmp_path / "graph.onnx"), px)
    np.testing.assert_allclose(answers(changed.SerializeToString(), px), expected, atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 1e-3, "the photos must differ"


def test_a_larger_photo_costs_more_and_the_same_side_changes_nothing(made):
    model, _ = made
    assert count_macs(at_side(model, 64)) > 2.5 * count_macs(model)
    assert at_side(model, 32) == model


def test_convolutions_alone_take_any_side(tmp_path):
    world = open_world(build_world(tmp_path, input_px=16))
    model = at_side(onnx.load_from_string(cut_world(world, np.array([0, 2]))), 24)
    assert answers(model.SerializeToString(), 24).shape == (3, 2)


def test_a_graph_that_writes_the_side_down_elsewhere_is_refused(tmp_path):
    world = open_world(build_world(tmp_path, input_px=16))
    model = onnx.load_from_string(cut_world(world, np.array([0, 2])))
    positions = numpy_helper.from_array(np.ones((1, 8, 8, 8), np.float32), "positions")
    model.graph.initializer.append(positions)
    at = next(i for i, node in enumerate(model.graph.node) if node.op_type == "Relu")
    model.graph.node[at].input[0] = "placed"
    model.graph.node.insert(at, helper.make_node("Add", ["stem", "positions"], ["placed"]))
    with pytest.raises(ConfigError, match=r"--input-px 24: the graph of this world, made for 16"):
        at_side(model, 24)
