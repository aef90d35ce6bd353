"""Publishing a world: its profile is what running the network gives, and what is refused."""

import json
import shutil
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from tiny_ranges import occurrence_table, tiny_range_config
from tiny_training import CLASSES, manifest_of, tiny_config, tiny_manifest

from homerange.data.images import prepare
from homerange.data.manifest import Manifest
from homerange.errors import CheckpointError, ManifestError, WorldError
from homerange.geo.cells import cell_ids
from homerange.model.checkpoint import CheckpointConfig, load_checkpoint, read_config, save_weights
from homerange.model.network import pixels_to_input
from homerange.profile.publish import publish
from homerange.train.evaluate import evaluate
from homerange.train.range import train_range
from homerange.world.range_model import RangeModel
from homerange.world.tables import Evidence, Occurrence, Profile
from homerange.world.world import open_world


@pytest.fixture(scope="module", params=["plain", "bottleneck"])
def made(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def run(made):
    """The network of the world over its validation and test photos, one after the other."""
    network, config = load_checkpoint(made.checkpoint)
    photos = Manifest.read(made.manifest)
    judged = photos.where(np.isin(photos.strings("split"), ["val", "test"]))
    logits, classes, cells = [], [], []
    for row in range(len(judged)):
        rgb_HW3 = prepare(judged.image_path(row), config.preprocessing)
        with torch.no_grad():
            logits.append(network(pixels_to_input(torch.from_numpy(rgb_HW3)[None]))[0].numpy())
        classes.append(config.classes.index(judged.strings("species")[row]))
        cells.append(int(cell_ids(judged.latlon_N2()[row : row + 1], 8)[0]))
    return np.stack(logits), np.array(classes), cells, judged.strings("split")


# Law: sums of the profile and products of the evidence are what running the network gives


def test_the_evidence_times_the_class_rows_is_the_network(made, run):
    logits_NC, class_N, cells, splits = run
    found = Evidence.read(made.world)
    tensors = load_file(made.world / "weights.safetensors")
    weight_CD = tensors["head.classes.weight"].numpy()
    product_NC = found.feature.astype(np.float32) @ weight_CD.T + (
        tensors["head.classes.bias"].numpy()
    )
    assert found.class_index.tolist() == class_N.tolist()
    assert found.cell.tolist() == cells
    assert found.split.tolist() == splits
    # Features are stored in half precision: 11 binary digits, sums of 256 products.
    np.testing.assert_allclose(product_NC, logits_NC, atol=2e-3)
    assert product_NC.argmax(axis=1).tolist() == logits_NC.argmax(axis=1).tolist()


def test_accuracy_from_the_evidence_is_accuracy_from_running_the_network(made, run):
    logits_NC, class_N, _, splits = run
    right_N = logits_NC.argmax(axis=1) == class_N
    assert right_N.mean() < 0.9
    assert right_N.mean() > 0.1 or len(open_world(made.world).labels) > 1000
    found, tensors = Evidence.read(made.world), load_file(made.world / "weights.safetensors")
    product_NC = found.feature.astype(np.float32) @ tensors["head.classes.weight"].numpy().T
    product_NC += tensors["head.classes.bias"].numpy()
    for split in ("val", "test"):
        of_evidence = (product_NC.argmax(axis=1) == found.class_index)[found.split == split]
        assert of_evidence.mean() == right_N[np.array(splits) == split].mean()


def test_the_profile_sums_to_what_running_the_network_gives(made, run):
    logits_NC, class_N, cells, splits = run
    exact_NC = logits_NC.astype(np.float64)
    loss_N = np.log(np.exp(exact_NC).sum(axis=1)) - exact_NC[np.arange(len(class_N)), class_N]
    expected = defaultdict(lambda: np.zeros(4))
    for i, key in enumerate(zip(class_N.tolist(), cells, splits, strict=True)):
        order = np.argsort(-logits_NC[i], kind="stable").tolist()
        rank = order.index(class_N[i])
        expected[key] += (1, rank < 1, rank < 5, loss_N[i])
    found = Profile.read(made.world)
    columns = (found.class_index, found.cell, found.split)
    keys = list(zip(*(column.tolist() for column in columns), strict=True))
    assert sorted(keys) == sorted(expected)
    for row, key in enumerate(keys):
        counts = (found.photos[row], found.correct[row], found.correct_top5[row])
        assert counts == tuple(expected[key][:3])
        assert found.loss_sum[row] == pytest.approx(expected[key][3], rel=1e-5)


def test_the_metrics_of_the_world_are_those_of_evaluate_on_test_photos(plain):
    found = open_world(plain.world).description.metrics
    expected = evaluate(plain.checkpoint, plain.manifest, split="test")
    assert found["split"] == "test"
    assert found["overall"]["photos"] == expected.overall.photos == 28
    assert found["overall"]["top1"] == expected.overall.top1
    assert found["overall"]["macro_f1"] == pytest.approx(expected.overall.macro_f1)
    assert set(found["regions"]) == {"chicago", "serengeti"}


# What a world holds


def test_a_published_world_opens_and_all_its_hashes_hold(plain):
    world = open_world(plain.world)
    world.verify()
    assert world.labels == CLASSES
    assert world.outcomes == ("blank",)
    assert plain.published.classes == 4
    assert plain.published.photos == 40
    assert plain.published.unreadable == []


def test_a_world_describes_itself(plain, bottleneck):
    found = open_world(plain.world).description
    assert found.name == "world"
    assert (found.architecture.backbone, found.architecture.head) == ("mobilevitv2_050", "plain")
    assert (found.architecture.feature_size, found.architecture.classes) == (256, 4)
    assert (found.preprocessing.input_px, found.preprocessing.fit) == (96, "squash")
    assert (found.provenance.recipe, found.provenance.seed, found.provenance.start) == (
        "looked",
        4,
        "none",
    )
    assert found.provenance.photos == {"train": 16, "val": 12, "test": 28}
    assert found.provenance.sources == {"drawn": 56}
    assert (found.licence.weights, found.licence.rows) == ("CC0", {"CC0-1.0": 56})
    other = open_world(bottleneck.world).description
    assert (other.architecture.head, other.architecture.classes) == ("bottleneck", 5089)
    assert other.parameters > found.parameters


def test_occurrence_has_no_test_photos_and_no_outcomes(plain):
    found = Occurrence.read(plain.world)
    assert set(found.source.tolist()) == {"train", "val"}
    assert "blank" not in found.species
    assert Counter(found.species.tolist()).keys() == set(CLASSES[:-1])


def test_no_coordinate_time_or_name_of_a_burst_leaves_with_a_world(plain):
    # 34.83 degrees and "burst 3" are in the manifest; a world has cells, months and numbers.
    names = {n for p in plain.world.glob("*.parquet") for n in pq.read_schema(p).names}
    assert not [n for n in names if "latitude" in n or "longitude" in n or "time" in n]
    for path in plain.world.iterdir():
        data = path.read_bytes()
        assert b"burst" not in data, path
        assert b"34.83" not in data, path


def test_the_class_count_stands_in_taxa(plain):
    found = open_world(plain.world).taxa
    assert found.photos_train.tolist() == [4, 4, 4, 4]
    assert found.photos_val.tolist() == [3, 3, 3, 3]
    assert found.photos_test.tolist() == [7, 7, 7, 7]
    assert found.common_name.tolist() == ["plains zebra", "lion", "raccoon", None]


# What is refused


def test_a_world_is_not_replaced(plain):
    with pytest.raises(WorldError, match=r"holds a world already. Publish into another folder"):
        publish(plain.checkpoint, plain.manifest, plain.world)


def test_an_encoder_without_classes_is_no_world(plain, tmp_path):
    config = CheckpointConfig(
        backbone="mobilevitv2_050",
        head="none",
        classes=(),
        preprocessing=tiny_config().preprocessing,
    )
    config.write(tmp_path)
    save_weights(config.network(), tmp_path)
    expected = (
        r"an encoder without classes. Train it on labelled photos first: homerange train dense"
    )
    with pytest.raises(CheckpointError, match=expected):
        publish(tmp_path, plain.manifest, tmp_path / "world")
    assert not (tmp_path / "world").exists()


def test_photos_without_a_licence_make_no_world(plain, tmp_path):
    manifest = tiny_manifest(tmp_path, train=2, val=1, test=1, licence=None)
    with pytest.raises(WorldError, match="4 of 4 photos state no licence"):
        publish(plain.checkpoint, manifest, tmp_path / "world")
    assert not (tmp_path / "world").exists()


def test_without_validation_and_test_photos_nothing_can_be_measured(plain, tmp_path):
    manifest = tiny_manifest(tmp_path, train=4, val=0, test=0)
    with pytest.raises(ManifestError, match="no labelled photo in splits val and test, so nothing"):
        publish(plain.checkpoint, manifest, tmp_path / "world")


# The rest of publishing, without the slow export


@pytest.fixture
def quick(plain, monkeypatch):
    """Publish with the graph of the plain world in place of an export."""
    from homerange.profile import publish as module

    def copy(_network, folder, *, input_px):
        assert input_px == 96
        for name in ("graph.onnx", "weights.safetensors"):
            (folder / name).write_bytes((plain.world / name).read_bytes())
        return []  # no experts

    monkeypatch.setattr(module, "export_graph", copy)

    def run(manifest, output, checkpoint=plain.checkpoint, **how):
        return publish(checkpoint, manifest, output, **how)

    return run


def test_photos_that_cannot_be_read_and_species_that_are_not_known_are_left_out(quick, tmp_path):
    path = tiny_manifest(tmp_path, train=4, val=4, test=4)
    (tmp_path / "photos" / "5.jpg").write_bytes(b"no photo")
    whole = Manifest.read(path)
    rows = whole.table.to_pylist()
    rows[9]["species"] = "Lepus europaeus"
    manifest_of(rows, whole.root).write(path)
    published = quick(path, tmp_path / "world", name="quick", licence="MIT")
    assert [bad.image for bad in published.unreadable] == ["5.jpg"]
    world = open_world(tmp_path / "world")
    assert world.description.name == "quick"
    found = Evidence.read(world.path)
    assert len(found) == 6  # of 8 judged photos
    assert Profile.read(world.path).photos.sum() == 6
    assert world.description.metrics["overall"]["photos"] == 4  # the hare is a wrong answer
    assert world.description.metrics["unknown_species"] == 1


def test_the_metrics_of_the_world_tell_new_cameras_from_those_of_train(quick, tmp_path):
    path = tiny_manifest(tmp_path, train=4, val=2, test=5, licence="MIT")
    rows = Manifest.read(path).table.to_pylist()
    # Camera v is known from val only, which nothing is learnt from.
    for row, camera in zip(rows, ["a"] * 4 + ["v"] * 2 + ["a", "a", "v", "t", None], strict=True):
        row["location_id"] = camera
    manifest_of(rows, tmp_path / "photos").write(path)
    quick(path, tmp_path / "world")
    found = open_world(tmp_path / "world").description.metrics["cameras"]
    got = {name: metrics["photos"] for name, metrics in found.items()}
    assert got == {"known cameras": 2, "new cameras": 2}


def test_a_stated_licence_fills_the_gaps(quick, tmp_path):
    path = tiny_manifest(tmp_path, train=4, val=2, test=0, licence=None)
    quick(path, tmp_path / "world", licence="CC BY-NC 4.0")
    found = open_world(tmp_path / "world").description
    assert (found.licence.weights, found.licence.rows) == ("CC BY-NC", {"CC BY-NC 4.0": 6})
    assert found.metrics == {}  # no test photo, so nothing is claimed


def test_photos_that_only_a_teacher_was_asked_about_bind_the_world_too(quick, plain, tmp_path):
    path = tiny_manifest(tmp_path, train=4, val=2, test=0)
    whole = Manifest.read(path)
    rows = whole.table.to_pylist()
    rows[0] |= {"species": None, "licence": "Attribution-NonCommercial 4.0"}
    manifest_of(rows, whole.root).write(path)
    quick(path, tmp_path / "of labels")
    assert open_world(tmp_path / "of labels").description.licence.rows == {"CC0-1.0": 5}
    taught = tmp_path / "taught"
    shutil.copytree(plain.checkpoint, taught)
    config = read_config(taught)
    replace(config, recipe={**config.recipe, "teacher": "lite0"}).write(taught)
    quick(path, tmp_path / "of a teacher", checkpoint=taught)
    found = open_world(tmp_path / "of a teacher").description.licence
    assert found.weights == "CC BY-NC"
    assert found.rows == {"Attribution-NonCommercial 4.0": 1, "CC0-1.0": 5}


def test_a_range_model_goes_with_the_world_and_its_records_bind_it(quick, tmp_path):
    table = occurrence_table(tmp_path / "records.csv", licence="CC BY-NC 4.0")
    ranges = train_range(table, tmp_path / "ranges", tiny_range_config(epochs=1)).folder
    path = tiny_manifest(tmp_path, train=4, val=2, test=0)
    quick(path, tmp_path / "world", range_model=ranges)
    world = open_world(tmp_path / "world")
    assert RangeModel.open(world.path).species == CLASSES[:-1]
    assert world.description.licence.weights == "CC BY-NC"
    assert world.description.licence.rows == {"CC0-1.0": 6, "occurrences: CC BY-NC 4.0": 60}


def test_photos_that_a_range_model_learnt_from_count_once(quick, tmp_path):
    path = tiny_manifest(tmp_path, train=4, val=2, test=0)
    ranges = train_range(path, tmp_path / "ranges", tiny_range_config(epochs=1)).folder
    quick(path, tmp_path / "world", range_model=ranges)
    assert open_world(tmp_path / "world").description.licence.rows == {"CC0-1.0": 6}


def test_a_range_model_of_records_without_a_licence_needs_one(quick, tmp_path):
    ranges = train_range(
        occurrence_table(tmp_path / "records.csv"), tmp_path / "r", tiny_range_config(epochs=1)
    ).folder
    path = tiny_manifest(tmp_path, train=4, val=2, test=0)
    with pytest.raises(WorldError, match="60 of 66 photos and records state no licence"):
        quick(path, tmp_path / "world", range_model=ranges)
    assert not (tmp_path / "world").exists()


def test_world_json_is_plain_json(plain):
    json.loads((plain.world / "world.json").read_text(), parse_constant=pytest.fail)
