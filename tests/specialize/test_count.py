"""Counting parameters and multiply-adds: by hand on small graphs."""

import numpy as np
import onnx
import pytest
from fakes import build_world, load_external
from onnx import TensorProto, helper, numpy_helper

from homerange.errors import WorldError
from homerange.specialize.count import count_macs, count_parameters


def graph(nodes, weights, shape):
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "count",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(np.zeros(s, t), name) for name, s, t in weights],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    model.graph.output[0].type.tensor_type.shape.dim.add().dim_param = "n"
    for _ in range(len(shape) - 1):
        model.graph.output[0].type.tensor_type.shape.dim.add()
    return model


def test_a_grouped_convolution_by_hand():
    # 4 channels in, 6 out, 2 groups, kernel 3 x 3, stride 2 on 8 x 10 without padding:
    # output 6 x 3 x 4 = 72 values, each 4/2 * 9 = 18 products -> 1,296.
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], group=2, strides=[2, 2])
    weights = [("w", (6, 2, 3, 3), np.float32), ("b", (6,), np.float32)]
    model = graph([node], weights, ["n", 4, 8, 10])
    assert count_macs(model) == 1296
    assert count_parameters(model) == 6 * 2 * 9 + 6


def test_linear_layers_by_hand():
    # Gemm 5 -> 7: 35 products; MatMul 7 -> 3: 21. A bias adds parameters, not products.
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=1),
        helper.make_node("MatMul", ["h", "v"], ["y"]),
    ]
    weights = [("w", (7, 5), np.float32), ("b", (7,), np.float32), ("v", (7, 3), np.float16)]
    model = graph(nodes, weights, ["n", 5])
    assert count_macs(model) == 35 + 21
    assert count_parameters(model) == 35 + 7 + 21


def test_a_product_over_many_positions_counts_each():
    # 4 positions of 5 numbers times (5, 3): 4 * 3 values of 5 products.
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    assert count_macs(graph([node], [("w", (5, 3), np.float32)], ["n", 4, 5])) == 60


def test_a_turned_weight_is_counted_along_its_second_axis():
    for shape, flip in (((7, 5), 1), ((5, 7), 0)):
        node = helper.make_node("Gemm", ["x", "w"], ["y"], transB=flip)
        assert count_macs(graph([node], [("w", shape, np.float32)], ["n", 5])) == 35


def test_shapes_and_single_numbers_are_no_parameters():
    weights = [("s", (3,), np.int64), ("one", (), np.float32), ("w", (2,), np.float32)]
    assert count_parameters(graph([], weights, ["n", 5])) == 2


def test_the_fake_world_by_hand(tmp_path):
    # Convolution 3 -> 8, 3 x 3, 16 x 16 to 8 x 8: 8*64*27 = 13,824; head 8 -> 10: 80.
    model = load_external(build_world(tmp_path, classes=10, features=8, input_px=16))
    assert count_macs(model) == 13824 + 80
    assert count_parameters(model) == 8 * 27 + 8 + 1 + 80 + 10


def test_weights_need_not_be_there_to_be_counted(tmp_path):
    folder = build_world(tmp_path)
    bare = onnx.load(folder / "graph.onnx", load_external_data=False)
    full = load_external(folder)
    assert count_macs(bare) == count_macs(full)
    assert count_parameters(bare) == count_parameters(full)


def test_counting_leaves_the_graph_as_it_was(tmp_path):
    model = load_external(build_world(tmp_path))
    before = model.SerializeToString()
    count_macs(model)
    assert model.SerializeToString() == before


def test_a_size_that_the_graph_does_not_give_is_an_error():
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="stem")
    model = graph([node], [("w", (6, 4, 3, 3), np.float32)], ["n", 4, "h", "w"])
    with pytest.raises(WorldError, match=r"sizes at node 'stem' \(Conv\).*fixed input size"):
        count_macs(model)
