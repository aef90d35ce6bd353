"""Fewer bits: a weight stays within half a step, what is no weight stays, and sizes shrink."""

import numpy as np
import onnx
import onnxruntime
import pytest
from fakes import HEADS, build_world
from onnx import numpy_helper
from tiny_world import expert_world

from homerange.errors import ConfigError, WorldError
from homerange.specialize.absorb import absorb_norms
from homerange.specialize.cut import cut_world
from homerange.specialize.quantize import BLOCK, quantize
from homerange.world.world import open_world

WEIGHT = "head.classes.weight"


def logits(model, photos):
    """Run a model."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options).run(["logits"], {"image": photos})[0]


def cut_of(folder, **arguments):
    """A cut model, and its world."""
    world = open_world(build_world(folder, **arguments))
    classes = np.arange(len(world.labels))
    return onnx.load_from_string(cut_world(world, classes)), world


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """The real network with experts, cut to all of its classes, and its world."""
    folder, _ = expert_world(tmp_path_factory.mktemp("network") / "world")
    world = open_world(folder)
    return onnx.load_from_string(cut_world(world, np.arange(len(world.labels)))), world


def copy_of(model):
    """A copy that a test may change."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def floats_of(model, names):
    """What the graph makes of stored weights, computed by ONNX Runtime itself."""
    shown = copy_of(model)
    del shown.graph.output[:]
    for name in names:
        shown.graph.output.append(onnx.helper.make_tensor_value_info(name, 1, None))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(shown.SerializeToString(), options)
    side = shown.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    return dict(
        zip(
            names,
            session.run(names, {"image": np.zeros((1, side, side, 3), np.uint8)}),
            strict=True,
        )
    )


def tensors(model):
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


def absorbed(model):
    """The weights that are stored: those after norms were absorbed."""
    before = copy_of(model)
    absorb_norms(before.graph)
    return tensors(before)


@pytest.mark.parametrize("head", HEADS)
def test_at_8_bits_each_value_is_within_half_a_step_of_its_row(tmp_path, head):
    model, world = cut_of(tmp_path, head=head)
    stored = quantize(model, world.graph, 8)
    before, got = tensors(model), floats_of(stored, ["stem.weight", WEIGHT])
    columns = head in ("gemm columns", "matmul")
    for name, axis in (("stem.weight", (1, 2, 3)), (WEIGHT, 0 if columns else 1)):
        step = np.abs(before[name]).max(axis=axis, keepdims=True) / 127
        error = np.abs(got[name] - before[name])
        assert (error <= step * (0.5 + 0.002)).all()  # 0.002: steps are rounded up to 16 bits
        assert error.max() > 0


def test_at_4_bits_each_value_of_a_real_network_is_within_a_step_of_its_block(network):
    model, world = network
    stored = quantize(model, world.graph, 4)
    in_4 = [
        t.name.removesuffix("/whole")
        for t in stored.graph.initializer
        if t.data_type == onnx.TensorProto.INT4
    ]
    assert len(in_4) > 40
    before, got = absorbed(model), floats_of(stored, in_4)
    for name in in_4:
        blocks_RV = before[name].reshape(-1, BLOCK)
        step_R1 = np.abs(blocks_RV).max(axis=1, keepdims=True) / 7
        error_RV = np.abs(got[name].reshape(-1, BLOCK) - blocks_RV)
        assert (error_RV.mean(axis=1) <= 0.3 * step_R1[:, 0]).all(), name
        assert (error_RV <= 2.2 * step_R1).all(), name  # the ends of a block are cut off


def test_gates_biases_and_class_rows_keep_their_bits_at_4(network):
    model, world = network
    stored = {t.name: t for t in quantize(model, world.graph, 4).graph.initializer}
    (layer, *_) = world.graph.experts
    for name in ("gate.up", "b1_EH", "b2_ED"):
        before = tensors(model)[f"{layer.prefix}.{name}"]
        np.testing.assert_array_equal(
            numpy_helper.to_array(stored[f"{layer.prefix}.{name}"]), before
        )
    assert stored[f"{layer.prefix}.w1_EHD/whole"].data_type == onnx.TensorProto.INT4
    assert stored[f"{WEIGHT}/whole"].data_type == onnx.TensorProto.INT8


@pytest.mark.parametrize(("bits", "part"), [(16, 0.54), (8, 0.31), (4, 0.21)])
def test_fewer_bits_are_fewer_bytes_and_nearly_the_same_logits(network, bits, part):
    model, world = network
    stored = quantize(model, world.graph, bits)
    onnx.checker.check_model(stored, full_check=True)
    assert stored.ByteSize() < part * model.ByteSize()
    photos = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    before, after = (logits(m.SerializeToString(), photos) for m in (model, stored))
    error = np.sqrt(np.square(after - before).mean() / before.var())
    assert 0 < error < {16: 0.02, 8: 0.3, 4: 1.2}[bits]


def test_32_bits_change_nothing(tmp_path):
    model, world = cut_of(tmp_path)
    assert quantize(model, world.graph, 32) == model


def test_absorbed_norms_leave_the_answers_as_they_were(network):
    model = copy_of(network[0])
    photos = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    nodes = len(model.graph.node)
    for tensor in model.graph.initializer:  # fresh norms are 1 and 0, which any mistake survives
        if ".norm" in tensor.name:
            values = numpy_helper.to_array(tensor)
            drawn = np.random.default_rng(len(tensor.name)).normal(1, 0.3, values.shape)
            tensor.CopyFrom(numpy_helper.from_array(drawn.astype(np.float32), tensor.name))
    before = logits(model.SerializeToString(), photos)
    absorb_norms(model.graph)
    assert len(model.graph.node) <= nodes - 18
    np.testing.assert_allclose(logits(model.SerializeToString(), photos), before, atol=2e-4)


def test_bits_that_do_not_exist_are_refused(tmp_path):
    model, world = cut_of(tmp_path)
    with pytest.raises(ConfigError, match="bits is 5; expected 32, 16, 8, 4"):
        quantize(model, world.graph, 5)


@pytest.mark.parametrize("bits", [16, 8])
def test_a_weight_that_does_not_fit_is_refused_by_name(tmp_path, bits):
    model, world = cut_of(tmp_path)
    for tensor in model.graph.initializer:
        if tensor.name == "stem.weight":
            values = numpy_helper.to_array(tensor) * np.float32(1e9)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    with pytest.raises(WorldError, match=f"'stem.weight' has values .* too large for {bits} bits"):
        quantize(model, world.graph, bits)


def test_a_row_of_zeros_stays_zero(tmp_path):
    model, world = cut_of(tmp_path)
    for tensor in model.graph.initializer:
        if tensor.name == "stem.weight":
            values = numpy_helper.to_array(tensor).copy()
            values[0] = 0
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    got = floats_of(quantize(model, world.graph, 8), ["stem.weight"])["stem.weight"]
    assert (got[0] == 0).all()
    assert (got[1] != 0).any()
