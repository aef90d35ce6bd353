"""Cutting a head: the logits of the kept classes stay, and nothing else is in the model."""

import dataclasses

import numpy as np
import onnx
import onnxruntime
import pytest
from fakes import HEADS, build_world, load_external, reseal
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from homerange.errors import WorldError
from homerange.specialize.cut import cut_world
from homerange.specialize.graph import find_class_rows, load_graph
from homerange.world.world import open_world

WEIGHT, BIAS = "head.classes.weight", "head.classes.bias"


def logits(model, photos):
    """Run a file (with its weights beside it) or a self-contained model."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model if isinstance(model, bytes) else str(model), options
    )
    return session.run(["logits"], {"image": photos})[0]


def tensors(model):
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


@st.composite
def worlds_and_classes(draw):
    """Keyword arguments of a random world, and some of its classes."""
    classes = draw(st.integers(1, 30))
    world = {
        "classes": classes,
        "features": draw(st.integers(1, 20)),
        "head": draw(st.sampled_from(HEADS)),
        "seed": draw(st.integers(0, 999)),
        "outcomes": ("blank",) if classes > 1 and draw(st.booleans()) else (),
        "test_photos": 1,
    }
    kept = draw(st.sets(st.integers(0, classes - 1), min_size=1))
    return world, np.array(sorted(kept))


@settings(max_examples=20)
@given(case=worlds_and_classes())
def test_logits_of_a_cut_are_those_rows_of_the_full_head(tmp_path_factory, case):
    arguments, index_K = case
    folder = build_world(tmp_path_factory.mktemp("world"), **arguments)
    photos = np.random.default_rng(1).integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)
    data = cut_world(open_world(folder), index_K)
    full = logits(folder / "graph.onnx", photos)
    np.testing.assert_allclose(logits(data, photos), full[:, index_K], rtol=1e-6, atol=1e-6)


@settings(max_examples=15)
@given(case=worlds_and_classes())
def test_weights_of_a_cut_are_bit_for_bit_those_of_the_world(tmp_path_factory, case):
    arguments, index_K = case
    folder = build_world(tmp_path_factory.mktemp("world"), **arguments)
    cut = tensors(onnx.load_from_string(cut_world(open_world(folder), index_K)))
    full = tensors(load_external(folder))  # read by ONNX itself, not by our reader
    axis = 1 if arguments["head"] in ("gemm columns", "matmul") else 0
    full[WEIGHT] = full[WEIGHT].take(index_K, axis=axis)
    full[BIAS] = full[BIAS][index_K]
    assert cut.keys() == full.keys()
    for name in full:
        assert cut[name].dtype == full[name].dtype
        np.testing.assert_array_equal(cut[name], full[name], err_msg=name)


@pytest.mark.parametrize("head", HEADS)
def test_a_model_cut_to_every_class_equals_the_world(tmp_path, head):
    folder = build_world(tmp_path, classes=12, head=head)
    photos = np.random.default_rng(2).integers(0, 256, (5, 16, 16, 3)).astype(np.uint8)
    everything = cut_world(open_world(folder), np.arange(12))
    full = logits(folder / "graph.onnx", photos)
    np.testing.assert_array_equal(logits(everything, photos), full)
    assert (full.argmax(axis=1) != full.argmin(axis=1)).all(), "the network must tell photos apart"


def test_a_photo_moves_the_logits(tmp_path):
    # Were the fake network deaf to its input, the law above would say nothing.
    data = cut_world(open_world(build_world(tmp_path)), np.array([0, 3]))
    photos = np.random.default_rng(3).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
    first, second = logits(data, photos)
    assert np.abs(first - second).max() > 1e-3


def test_the_cut_declares_its_own_shape_and_takes_any_batch(tmp_path):
    data = cut_world(open_world(build_world(tmp_path, head="matmul")), np.array([1, 2, 5]))
    model = onnx.load_from_string(data)
    output = model.graph.output[0].type.tensor_type.shape.dim
    assert (output[0].dim_param, output[1].dim_value) == ("n", 3)
    onnx.checker.check_model(model, full_check=True)
    for batch in (1, 4):
        photos = np.zeros((batch, 16, 16, 3), np.uint8)
        assert logits(data, photos).shape == (batch, 3)


def test_the_cut_stands_alone_and_says_nothing_of_the_machine_that_made_it(tmp_path):
    folder = build_world(tmp_path)
    assert b"/home/somebody" in (folder / "graph.onnx").read_bytes()
    data = cut_world(open_world(folder), np.array([0]))
    assert b"/home/somebody" not in data
    assert b"weights.safetensors" not in data


def test_the_same_classes_give_the_same_bytes(tmp_path):
    world = open_world(build_world(tmp_path))
    assert cut_world(world, np.array([1, 4])) == cut_world(world, np.array([1, 4]))


def test_cutting_leaves_the_world_as_it_was(tmp_path):
    folder = build_world(tmp_path)
    cut_world(open_world(folder), np.array([1, 4]))
    open_world(folder).verify()


@pytest.mark.parametrize("index", [[], [3, 1], [1, 1], [-1, 2], [0, 10]])
def test_classes_that_do_not_rise_or_do_not_exist_are_refused(tmp_path, index):
    world = open_world(build_world(tmp_path))
    with pytest.raises(ValueError, match=r"cannot cut to the classes .*rising, each from 0 to 9"):
        cut_world(world, np.array(index, np.int64))


def change_graph(folder, change):
    """Break the graph of a world and give the world its new hash."""
    model = onnx.load(folder / "graph.onnx", load_external_data=False)
    change(model)
    (folder / "graph.onnx").write_bytes(model.SerializeToString())
    reseal(folder)
    return open_world(folder)


def attribute(name, value):
    def change(model):
        model.graph.node[-1].attribute.append(helper.make_attribute(name, value))

    return change


def add_node(*nodes):
    return lambda model: model.graph.node.extend(nodes)


def to_softmax(model):
    model.graph.node[-1].output[0] = "rows"
    model.graph.node.append(helper.make_node("Softmax", ["rows"], ["logits"]))


def first_factor(model):
    model.graph.node[-1].input[0], model.graph.node[-1].input[1] = WEIGHT, "features"


def no_bias(model):
    del model.graph.node[-1].input[2]


def external(name, key, value):
    def change(model):
        tensor = next(t for t in model.graph.initializer if t.name == name)
        for entry in tensor.external_data:
            if entry.key == key:
                entry.value = value

    return change


def inside(name):
    """Put a weight into the graph, where it would have to be searched for."""

    def change(model):
        tensor = next(t for t in model.graph.initializer if t.name == name)
        tensor.CopyFrom(numpy_helper.from_array(np.zeros(list(tensor.dims), np.float32), name))

    return change


def other_shape(model):
    tensor = next(t for t in model.graph.initializer if t.name == WEIGHT)
    tensor.dims[0] -= 1


def upside_down(model):
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (add_node(helper.make_node("Neg", [WEIGHT], ["x"])), f"'{WEIGHT}' is used by 2 nodes"),
        (add_node(helper.make_node("Neg", [BIAS], ["x"])), f"'{BIAS}' is used by 2 nodes"),
        (attribute("alpha", 0.5), r"has alpha = 0\.5; expected 1, so that features times"),
        (attribute("transA", 1), r"has transA = 1; expected 0"),
        (to_softmax, r"give 'rows', which is not the graph's output 'logits'"),
        (first_factor, rf"'{WEIGHT}' go into a Gemm of .*as the second factor of a Gemm"),
        (no_bias, f"not followed by an addition of '{BIAS}', but by Gemm with nothing"),
        (external("stem.bias", "location", "../secret"), r"takes 'stem.bias' from .*\.\./secret"),
        (external("stem.bias", "offset", "99999"), r"ends before 'stem\.bias', .* 99999 to 100031"),
        (external(WEIGHT, "offset", "0"), f"'{WEIGHT}' does not lie where the graph expects it"),
        (other_shape, rf"'{WEIGHT}' does not lie where .* says shape \[9, 8\]"),
        (inside(BIAS), f"does not take {BIAS} from weights.safetensors"),
        (upside_down, "is no valid ONNX graph once cut: .*sorted"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_graph_that_cannot_be_cut_safely_is_refused(tmp_path, change, message):
    world = change_graph(build_world(tmp_path), change)
    with pytest.raises(WorldError, match=message):
        cut_world(world, np.array([0, 2]))


def test_an_addition_that_is_not_the_bias_is_refused(tmp_path):
    def subtract(model):
        model.graph.node[-1].op_type = "Sub"

    world = change_graph(build_world(tmp_path, head="matmul"), subtract)
    with pytest.raises(WorldError, match=f"an addition of '{BIAS}', but by Sub with"):
        cut_world(world, np.array([0]))


def test_a_head_of_another_size_than_the_world_says_is_refused(tmp_path):
    world = open_world(build_world(tmp_path))
    description = world.description
    more = dataclasses.replace(description.architecture, classes=11)
    world = dataclasses.replace(
        world, description=dataclasses.replace(description, architecture=more)
    )
    with pytest.raises(WorldError, match=r"has shape \[10\]; world\.json says 11 classes"):
        cut_world(world, np.array([0]))


def test_a_graph_that_is_no_onnx_is_refused(tmp_path):
    folder = build_world(tmp_path)
    (folder / "graph.onnx").write_bytes(b"\xff" * 40)
    reseal(folder)
    with pytest.raises(WorldError, match=r"graph\.onnx: is no ONNX graph .*Publish the world"):
        load_graph(open_world(folder))


@pytest.mark.parametrize(("head", "axis"), list(zip(HEADS, (0, 1, 1, 0), strict=True)))
def test_the_axis_of_the_classes_is_found_in_every_kind_of_head(tmp_path, head, axis):
    world = open_world(build_world(tmp_path, head=head))
    assert find_class_rows(load_graph(world).graph, world.graph).weight_axis == axis
