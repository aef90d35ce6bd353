"""Ranges of activations: equal to a slow look at every value of every photo (law 5)."""

import dataclasses

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from tiny_training import CLASSES, tiny_config, tiny_manifest
from tiny_world import expert_world

from homerange.data.manifest import Manifest
from homerange.model.checkpoint import CheckpointConfig
from homerange.profile.ranges import activation_ranges, measured_values
from homerange.train.dataset import PlainPhotos
from homerange.world.ranges import Ranges

HARE = "Lepus europaeus"


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Ten validation photos, of which the third is broken, and test photos; no blank in val."""
    path = tiny_manifest(tmp_path_factory.mktemp("photos"), train=0, val=10, test=4)
    (path.parent / "photos" / "2.jpg").write_bytes(b"")
    return Manifest.read(path)


@pytest.fixture(scope="module")
def facts():
    return CheckpointConfig(
        backbone="mobilevitv2_050",
        head="plain",
        classes=(*CLASSES[:-1], HARE),  # nobody photographed the hare; blanks are unknown
        preprocessing=dataclasses.replace(tiny_config(input_px=32).preprocessing),
    )


@pytest.fixture(scope="module", params=[(3, 2), (12, 8)], ids=["masked", "gather"])
def folder(request, tmp_path_factory):
    """A world with experts, once in each execution."""
    experts, hidden = request.param
    folder = tmp_path_factory.mktemp("world")
    return expert_world(folder, classes=4, layers=(1, 5), experts=experts, hidden=hidden)[0]


@pytest.fixture(scope="module")
def ranges(folder, facts, judged):
    return activation_ranges(folder, facts, judged)


@pytest.fixture(scope="module")
def slow(folder, facts, judged):
    """Smallest and largest number of each value, photo by photo; by the row of the photo."""
    model = onnx.load(str(folder / "graph.onnx"))
    values = measured_values(model.graph)
    del model.graph.output[:]
    for value in values:
        model.graph.output.append(helper.make_tensor_value_info(value, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    photos = PlainPhotos(judged, facts.classes, facts.preprocessing)
    found = {}
    for row in (0, 1, 4, 5, 6, 8, 9):  # 2 is broken; 3 and 7 are blank, no class here
        image = photos.pixels(row).permute(1, 2, 0).numpy()[None].copy()
        arrays = session.run(None, {"image": image})
        found[row] = {n: (a.min(), a.max()) for n, a in zip(values, arrays, strict=True)}
    return found


def test_ranges_are_those_of_the_validation_photos_of_each_class(ranges, slow, facts, judged):
    species = judged.strings("species")
    seen = {facts.classes.index(species[row]) for row in slow}
    assert set(ranges.class_index.tolist()) == seen == {0, 1, 2}
    for i in range(len(ranges)):
        name, label = ranges.value[i], int(ranges.class_index[i])
        own = [ends[name] for row, ends in slow.items() if species[row] == facts.classes[label]]
        assert ranges.low[i] == pytest.approx(min(low for low, _ in own), rel=1e-4, abs=1e-5)
        assert ranges.high[i] == pytest.approx(max(high for _, high in own), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("place", [[0], [0, 2], [0, 1, 2, 3]])
def test_the_union_over_the_species_of_a_place_is_the_range_over_its_photos(
    ranges, slow, facts, judged, tmp_path, place
):
    ranges.write(tmp_path)
    found = Ranges.over(tmp_path, np.array(place))
    species = judged.strings("species")
    own = [ends for row, ends in slow.items() if facts.classes.index(species[row]) in place]
    assert set(found) == set(own[0])
    for name, (low, high) in found.items():
        assert low == pytest.approx(min(ends[name][0] for ends in own), rel=1e-4, abs=1e-5)
        assert high == pytest.approx(max(ends[name][1] for ends in own), rel=1e-4, abs=1e-5)


def test_every_product_that_sees_the_photo_is_measured_before_and_after(folder):
    graph = onnx.load(str(folder / "graph.onnx"), load_external_data=False).graph
    values = set(measured_values(graph))
    weights = {tensor.name for tensor in graph.initializer}
    products = [node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    assert len(products) > 40
    for node in products:
        assert values >= set(node.output)
        assert values & set(node.input)
    assert not values & weights
    assert "logits" in values


def test_weights_are_left_out_however_they_come_to_a_product():
    # x -> Conv(x, turned weight) -> MatMul(fetched weight, that) -> y
    def node(op, inputs, output, **attributes):
        return helper.make_node(op, inputs, [output], **attributes)

    nodes = [
        node("Transpose", ["weight"], "turned"),
        node("Conv", ["x", "turned"], "a"),
        node("ArgMax", ["a"], "best"),
        node("Gather", ["weight", "best"], "fetched"),
        node("Shape", ["a"], "shape"),
        node("Expand", ["weight", "shape"], "wide"),
        node("MatMul", ["fetched", "a"], "b"),
        node("MatMul", ["wide", "turned"], "of weights"),
        node("Add", ["b", "of weights"], "c"),
        node("Gemm", ["c", "weight"], "d"),
        node("Relu", ["d"], "y"),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("x", "y")]
    graph = helper.make_graph(nodes, "hand", ends[:1], ends[1:])
    assert measured_values(graph) == ["x", "a", "b", "c", "d", "y"]


def test_without_validation_photos_there_is_no_range(folder, facts, judged):
    assert len(activation_ranges(folder, facts, judged.split("test"))) == 0
