"""Law: torch, the ONNX graph and the cut package give the same logits for the same pixels.

The tolerance is 1e-4 in 32 bit, on logits of up to 4: folding batch norm and another
order of sums move them by up to 3e-5.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto
from safetensors.torch import load_file
from tiny_encoder import torchspatial_file
from tiny_training import CLASSES, tiny_location_config

import homerange
from homerange.data.images import prepare
from homerange.data.manifest import Manifest
from homerange.geo.place import SpeciesList
from homerange.model.checkpoint import load_checkpoint
from homerange.model.network import build_network, pixels_to_input
from homerange.profile import export as export_module
from homerange.profile.export import export_graph
from homerange.profile.fold import fold_batch_norm
from homerange.profile.work import count_work
from homerange.specialize.count import count_macs, count_parameters
from homerange.specialize.specialize import specialize
from homerange.train.location import train_location
from homerange.world.place_package import read_package
from homerange.world.weights import read_header
from homerange.world.world import open_world

TOLERANCE = 1e-4
LISTS = {
    "two species": ("Equus quagga", "Procyon lotor"),
    "every species": CLASSES[:-1],
}


@pytest.fixture(scope="module", params=["plain", "bottleneck"])
def made(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def pixels_BHW3(made):
    """Three drawn photos, prepared as on the device, and one of pure noise."""
    photos = Manifest.read(made.manifest).split("test")
    settings = open_world(made.world).preprocessing
    drawn = [prepare(photos.image_path(row), settings) for row in range(3)]
    noise = np.random.default_rng(0).integers(0, 256, drawn[0].shape, np.uint8)
    return np.stack([*drawn, noise])


def torch_logits(network, pixels_BHW3):
    with torch.no_grad():
        return network(pixels_to_input(torch.from_numpy(pixels_BHW3))).numpy()


def onnx_logits(model, pixels_BHW3):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"image": pixels_BHW3})[0]


@pytest.mark.parametrize("batch", [1, 3, 4])
def test_torch_and_the_graph_agree_for_any_batch(made, network_of, pixels_BHW3, batch):
    some_BHW3 = pixels_BHW3[:batch]
    expected_BC = torch_logits(network_of(made), some_BHW3)
    found_BC = onnx_logits(str(made.world / "graph.onnx"), some_BHW3)
    assert found_BC.shape == expected_BC.shape
    assert np.abs(expected_BC).max() > 0.3  # near zero, anything would agree
    np.testing.assert_allclose(found_BC, expected_BC, rtol=0, atol=TOLERANCE)
    assert found_BC.argmax(axis=1).tolist() == expected_BC.argmax(axis=1).tolist()


@pytest.mark.parametrize("names", LISTS.values(), ids=LISTS.keys())
def test_torch_and_the_cut_package_agree_on_the_classes_that_are_kept(
    made, network_of, pixels_BHW3, tmp_path, names
):
    made_package = specialize(made.world, SpeciesList(names), tmp_path / "p.homerange")
    kept = list(made_package.table.labels)
    assert set(names) <= set(kept)
    index_K = [open_world(made.world).labels.index(label) for label in kept]
    model = read_package(tmp_path / "p.homerange").model
    for batch in (1, 3):
        expected_BK = torch_logits(network_of(made), pixels_BHW3[:batch])[:, index_K]
        found_BK = onnx_logits(model, pixels_BHW3[:batch])
        np.testing.assert_allclose(found_BK, expected_BK, rtol=0, atol=TOLERANCE)
        assert found_BK.argmax(axis=1).tolist() == expected_BK.argmax(axis=1).tolist()


def test_a_package_of_all_classes_is_the_world(made, tmp_path, pixels_BHW3):
    labels = open_world(made.world).labels
    specialize(made.world, SpeciesList(labels[:-1]), tmp_path / "all.homerange")
    package = read_package(tmp_path / "all.homerange")
    assert package.labels == labels
    whole_BC = onnx_logits(str(made.world / "graph.onnx"), pixels_BHW3)
    assert np.array_equal(onnx_logits(package.model, pixels_BHW3), whole_BC)


def test_the_graph_takes_bytes_and_gives_logits(made):
    session = onnxruntime.InferenceSession(str(made.world / "graph.onnx"))
    (image,), (logits,) = session.get_inputs(), session.get_outputs()
    px = open_world(made.world).preprocessing.input_px
    assert (image.name, image.type, image.shape[1:]) == ("image", "tensor(uint8)", [px, px, 3])
    classes = len(open_world(made.world).labels)
    assert (logits.name, logits.type, logits.shape[1:]) == ("logits", "tensor(float)", [classes])
    assert isinstance(image.shape[0], str)  # any number of photos


def test_one_weights_file_serves_torch_and_the_graph(made, network_of):
    # The same names, and each initializer's bytes are those of the tensor of its name.
    folded = fold_batch_norm(network_of(made)).state_dict()
    stored = load_file(made.world / "weights.safetensors")
    assert stored.keys() == folded.keys()
    model = onnx.load(made.world / "graph.onnx", load_external_data=False)
    data = (made.world / "weights.safetensors").read_bytes()
    outside = {
        t.name: t for t in model.graph.initializer if t.data_location == TensorProto.EXTERNAL
    }
    assert outside.keys() == folded.keys()
    header = read_header(made.world / "weights.safetensors")
    for name, tensor in folded.items():
        assert torch.equal(stored[name], tensor), name
        entry = {item.key: item.value for item in outside[name].external_data}
        start, length = int(entry["offset"]), int(entry["length"])
        assert entry["location"] == "weights.safetensors"
        assert (start, length) == (header[name].offset_bytes, header[name].size_bytes)
        assert data[start : start + length] == tensor.contiguous().numpy().tobytes(), name
        # Exporters add axes of one to the scales of group norm; the bytes stay the same.
        assert [n for n in outside[name].dims if n > 1] == [n for n in tensor.shape if n > 1]


def test_only_constants_of_the_arithmetic_stay_in_the_graph(made):
    model = onnx.load(made.world / "graph.onnx", load_external_data=False)
    inside = [t for t in model.graph.initializer if t.data_location != TensorProto.EXTERNAL]
    assert all(np.prod(t.dims) <= 8 for t in inside)
    assert (made.world / "graph.onnx").stat().st_size < 300_000


def test_the_graph_tells_nothing_of_the_machine_that_exported_it(made):
    data = (made.world / "graph.onnx").read_bytes()
    package = Path(homerange.__file__).parent
    for word in (
        "site-packages",
        ".py",
        str(package),
        str(Path.home()),
        str(Path.cwd()),
        "Traceback",
    ):
        assert word.encode() not in data, word


def test_the_graph_counts_the_products_that_torch_counts(made, network_of):
    model = onnx.load(made.world / "graph.onnx", load_external_data=False)
    network = network_of(made)
    work = count_work(network, open_world(made.world).preprocessing.input_px)
    assert count_macs(model) == work.products
    # Batch norm is folded away; the exporter adds a 1 and a 0 for the group norms.
    folded = sum(p.numel() for p in fold_batch_norm(network).parameters())
    assert count_parameters(model) == folded + 2


def test_the_papers_network_costs_what_the_method_says_at_224_px(bottleneck):
    model = onnx.load(bottleneck.world / "graph.onnx", load_external_data=False)
    assert count_macs(model) / 1e6 == pytest.approx(363.52, abs=0.005)


def test_a_tensor_that_the_graph_lacks_is_an_error_that_names_it(tmp_path, monkeypatch):
    network = fold_batch_norm(build_network(classes=2))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    model = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], []))
    monkeypatch.setattr(export_module, "_export", lambda *_: model)
    expected = f"{len(before)} tensors are not in the exported graph, first {min(before)}"
    with pytest.raises(ValueError, match=expected):
        export_graph(network, tmp_path, input_px=64)
    # Numbers are scrambled to find their names, but in a copy.
    assert all(torch.equal(network.state_dict()[name], before[name]) for name in before)


@pytest.mark.slow
def test_a_network_that_places_supervised_has_the_graph_of_one_that_never_saw_a_place(
    plain, tmp_path
):
    torchspatial_file(tmp_path / "grid.pth.tar")
    config = tiny_location_config(input_px=96)
    how = {"from_checkpoint": plain.checkpoint, "encoder": tmp_path / "grid.pth.tar"}
    train_location(plain.manifest, tmp_path / "located", config, **how)
    network = fold_batch_norm(load_checkpoint(tmp_path / "located")[0])
    export_graph(network, tmp_path, input_px=96)
    ours, theirs = (structure(folder / "graph.onnx") for folder in (tmp_path, plain.world))
    assert ours == theirs
    ours, theirs = (read_header(f / "weights.safetensors") for f in (tmp_path, plain.world))
    assert ours == theirs


def structure(path):
    """Nodes, inputs, outputs and the places of the weights of a graph; not their values."""
    graph = onnx.load(path, load_external_data=False).graph
    return [
        part.SerializeToString()
        for parts in (graph.node, graph.input, graph.output, graph.initializer)
        for part in parts
    ]
