"""A slim graph answers the same to the last bit, with fewer bytes."""

import numpy as np
import onnx
import onnxruntime
from fakes import build_world
from onnx import TensorProto, helper, numpy_helper

from homerange.specialize.cut import cut_world
from homerange.specialize.slim import slim
from homerange.world.world import open_world


def run(model, feed):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, feed)[0]


def small(nodes, tensors, shape=(2, 4, 3)):
    """A model from ``x`` to ``y``."""
    x, y = (
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s)
        for n, s in (("x", shape), ("y", None))
    )
    stored = [numpy_helper.from_array(values, name) for name, values in tensors.items()]
    graph = helper.make_graph(nodes, "long name", [x], [y], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_a_slim_model_answers_the_same_to_the_last_bit_and_is_smaller(tmp_path):
    world = open_world(build_world(tmp_path))
    model = onnx.load_from_string(cut_world(world, np.array([0, 3, 4])))
    slimmer = slim(model, [world.graph.class_weight, world.graph.class_bias])
    feed = {"image": np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)}
    np.testing.assert_array_equal(run(slimmer, feed), run(model, feed))
    assert slimmer.ByteSize() < 0.95 * model.ByteSize()
    kept = {tensor.name for tensor in slimmer.graph.initializer}
    assert {world.graph.class_weight, world.graph.class_bias} < kept
    assert "stem.weight" not in kept


def test_equal_constants_are_kept_once_and_unequal_ones_twice():
    ones, twos = np.ones(3, np.float32), np.full(3, 2, np.float32)
    nodes = [
        helper.make_node("Add", ["x", "a"], ["u"]),
        helper.make_node("Mul", ["u", "b"], ["v"]),
        helper.make_node("Add", ["v", "c"], ["y"]),
    ]
    model = small(nodes, {"a": ones, "b": twos, "c": ones, "nobody": twos})
    slimmer = slim(model, [])
    assert len(slimmer.graph.initializer) == 2
    feed = {"x": np.random.default_rng(0).random((2, 4, 3), np.float32)}
    np.testing.assert_array_equal(run(slimmer, feed), run(model, feed))


def test_what_a_product_spreads_by_itself_is_not_spread_before():
    sums = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("ReduceSum", ["x", "axis"], ["s"], keepdims=1),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Expand", ["s", "shape"], ["e"]),
        helper.make_node("Mul", ["r", "e"], ["y"]),
    ]
    model = small(sums, {"axis": np.array([2])})
    slimmer = slim(model, [])
    assert [node.op_type for node in slimmer.graph.node] == ["Relu", "ReduceSum", "Mul"]
    feed = {"x": np.random.default_rng(0).random((2, 4, 3), np.float32)}
    np.testing.assert_array_equal(run(slimmer, feed), run(model, feed))


def test_an_attribute_goes_only_where_it_has_the_value_that_holds_anyway():
    weight = np.random.default_rng(0).random((2, 4, 3), np.float32)
    nodes = [
        helper.make_node(
            "Conv", ["x", "w"], ["y"], strides=[2], pads=[1, 1], dilations=[1], group=1
        )
    ]
    slimmer = slim(small(nodes, {"w": weight}, (2, 4, 9)), [])
    assert {part.name for part in slimmer.graph.node[0].attribute} == {"strides", "pads"}
