"""How right a checkpoint is: the numbers of scikit-learn, photo by photo as the device would."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, top_k_accuracy_score
from tiny_training import CLASSES, manifest_of, tiny_manifest

from homerange.data.answers import Answers
from homerange.data.evaluation import summarise
from homerange.data.images import Preprocessing, prepare
from homerange.data.manifest import Manifest, with_column
from homerange.data.metrics import wilson_interval
from homerange.errors import CheckpointError, ManifestError
from homerange.model.checkpoint import CheckpointConfig, load_checkpoint, save_weights
from homerange.model.network import pixels_to_input
from homerange.show import print_evaluation
from homerange.train.evaluate import evaluate
from homerange.train.infer import infer


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return tiny_manifest(tmp_path_factory.mktemp("photos"), train=4, val=4, test=11)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A network with random weights, which is wrong now and then."""
    folder = tmp_path_factory.mktemp("checkpoint")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        write_checkpoint(folder)
    return folder


def write_checkpoint(folder, *, classes=CLASSES, head="plain"):
    config = CheckpointConfig(
        backbone="mobilevitv2_050",
        head=head,
        classes=classes,
        preprocessing=Preprocessing(input_px=64, fit="squash"),
    )
    config.write(folder)
    save_weights(config.network(), folder)


def draw_answers(seed, photos, classes, unknown):
    """Random logits; some photos are of species that the network does not know."""
    rng = np.random.default_rng(seed)
    class_N = rng.integers(0, classes, photos)
    class_N[rng.random(photos) < unknown] = -1
    return Answers(
        row_N=np.arange(photos),
        class_N=class_N,
        features_ND=np.zeros((photos, 2), np.float32),
        logits_NC=rng.normal(size=(photos, classes)).astype(np.float32),
        unreadable=[],
    )


def assert_metrics(found, class_N, logits_NC):
    """Compare with scikit-learn; an unknown species is a class that is never answered."""
    classes = logits_NC.shape[1]
    true_N = np.where(class_N >= 0, class_N, classes)
    answer_N = logits_NC.argmax(axis=1)
    assert found.photos == len(true_N)
    assert found.species == len(set(true_N.tolist()))
    assert found.top1 == pytest.approx(accuracy_score(true_N, answer_N))
    macro = f1_score(true_N, answer_N, labels=np.unique(true_N), average="macro")
    assert found.macro_f1 == pytest.approx(macro)
    padded_NC = np.column_stack([logits_NC, np.full(len(true_N), -1e9)])
    if classes > 5:
        top5 = top_k_accuracy_score(true_N, padded_NC, k=5, labels=range(classes + 1))
        assert found.top5 == pytest.approx(top5)
    interval = wilson_interval(round(found.top1 * found.photos), found.photos)
    assert (found.top1_low, found.top1_high) == interval
    assert found.chance == 1 / classes
    assert found.majority == np.unique(true_N, return_counts=True)[1].max() / len(true_N)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 999),
    photos=st.integers(1, 40),
    classes=st.integers(2, 9),
    unknown=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_metrics_are_scikit_learns_overall_and_by_region(seed, photos, classes, unknown):
    answers = draw_answers(seed, photos, classes, unknown)
    regions = [["north", "south", None][i % 3] for i in range(photos)]
    manifest = manifest_of([{"region_id": region} for region in regions], None)
    found = summarise(answers, manifest, [f"class {i}" for i in range(classes)], "test")
    assert_metrics(found.overall, answers.class_N, answers.logits_NC)
    assert set(found.regions) == {region for region in regions if region}
    for name, metrics in found.regions.items():
        here_N = np.array([region == name for region in regions])
        assert_metrics(metrics, answers.class_N[here_N], answers.logits_NC[here_N])
    assert found.unknown_species == (answers.class_N < 0).sum()


def test_an_unknown_species_is_a_wrong_answer_by_hand():
    # Three photos: right, wrong, and of a species that the network does not know: 1 of 3.
    logits_NC = np.array([[1, 0], [1, 0], [1, 0]], np.float32)
    answers = Answers(np.arange(3), np.array([0, 1, -1]), np.zeros((3, 1)), logits_NC, [])
    found = summarise(answers, manifest_of([{}] * 3, None), ["a", "b"], "val").overall
    assert found.top1 == pytest.approx(1 / 3)
    assert found.top5 == pytest.approx(2 / 3)
    # F1: class a 2*1 / (1 + 3) = 1/2, class b 0, the unknown one 0.
    assert found.macro_f1 == pytest.approx(1 / 6)
    assert found.majority == pytest.approx(1 / 3)
    assert found.chance == 1 / 2


def test_rows_of_unreadable_photos_do_not_shift_the_regions():
    # Row 0 could not be read: the two answers belong to rows 1 and 2.
    answers = draw_answers(0, 2, 3, 0.0)
    answers = Answers(np.array([1, 2]), *list(vars(answers).values())[1:])
    manifest = manifest_of([{"region_id": r} for r in ("lost", "north", "south")], None)
    assert set(summarise(answers, manifest, ["a", "b", "c"], "test").regions) == {"north", "south"}


def test_known_and_new_cameras_are_told_apart():
    # Cameras a and b teach. Of five photos two are from a, two from c, one from nobody knows where.
    cameras = ["a", "c", None, "a", "c"]
    class_N = np.array([0, 0, 0, 1, 1])
    logits_NC = np.eye(2, dtype=np.float32)[[0, 1, 0, 1, 1]]  # wrong for the second photo only
    answers = Answers(np.arange(5), class_N, np.zeros((5, 1)), logits_NC, [])
    manifest = manifest_of([{"location_id": camera} for camera in cameras], None)
    found = summarise(answers, manifest, ["x", "y"], "test", train_cameras={"a", "b"})
    got = {name: (metrics.photos, metrics.top1) for name, metrics in found.cameras.items()}
    assert got == {"known cameras": (2, 1.0), "new cameras": (2, 0.5)}
    assert found.to_json()["cameras"]["new cameras"]["photos"] == 2
    assert summarise(answers, manifest, ["x", "y"], "test").cameras == {}


def test_the_cameras_of_an_evaluation_are_those_of_the_train_split(checkpoint, manifest, tmp_path):
    # tiny_manifest draws 4 photos to train on, 4 to select by and 11 to report on.
    photos = Manifest.read(manifest)
    cameras = ["a", "b"] * 2 + ["v"] * 4 + ["a"] * 3 + ["v"] * 2 + ["t"] * 6
    table = with_column(photos.table, "location_id", cameras)
    Manifest(table, photos.root).write(tmp_path / "m.parquet")
    found = evaluate(checkpoint, tmp_path / "m.parquet")
    got = {name: metrics.photos for name, metrics in found.cameras.items()}
    assert got == {"known cameras": 3, "new cameras": 8}
    assert read_json(checkpoint)["cameras"]["known cameras"]["photos"] == 3


def test_known_and_new_cameras_are_printed_where_there_are_both(capsys):
    answers = draw_answers(0, 3, 2, 0.0)
    rows = [{"location_id": camera, "region_id": "chicago"} for camera in "abc"]
    for learnt, printed in ((set("ab"), True), (set("abc"), False), (set(), False)):
        found = summarise(
            answers, manifest_of(rows, None), ["x", "y"], "test", train_cameras=learnt
        )
        print_evaluation(found)
        output = capsys.readouterr().out
        assert ("known cameras" in output, "new cameras" in output) == (printed, printed)
        assert "chicago" in output


def test_inference_is_one_photo_after_the_other_as_the_device_sees_it(checkpoint, manifest):
    photos = Manifest.read(manifest).split("test")
    network, config = load_checkpoint(checkpoint)
    found = infer(network, config, photos, title="test")
    assert found.row_N.tolist() == list(range(11))
    assert [config.classes[c] for c in found.class_N] == photos.strings("species")
    for row in range(11):
        rgb_HW3 = prepare(photos.image_path(row), config.preprocessing)
        with torch.no_grad():
            x_B3HW = pixels_to_input(torch.from_numpy(rgb_HW3)[None])
            features_BD = network.features(x_B3HW)
            logits_BC = network(x_B3HW)
        np.testing.assert_allclose(found.features_ND[row], features_BD[0], atol=1e-5)
        np.testing.assert_allclose(found.logits_NC[row], logits_BC[0], atol=1e-5)


def test_answers_can_be_chosen(checkpoint, manifest):
    network, config = load_checkpoint(checkpoint)
    found = infer(network, config, Manifest.read(manifest).split("test"), title="test")
    chosen = found.where(found.class_N == 0)
    assert set(chosen.class_N.tolist()) == {0}
    assert np.array_equal(chosen.logits_NC, found.logits_NC[found.class_N == 0])
    assert np.array_equal(chosen.features_ND, found.features_ND[found.class_N == 0])
    assert np.array_equal(chosen.row_N, found.row_N[found.class_N == 0])


def read_json(checkpoint):
    """Read ``metrics.json``; NaN and Infinity, which are no JSON, fail."""
    return json.loads((checkpoint / "metrics.json").read_text(), parse_constant=pytest.fail)


def test_evaluation_measures_one_split_and_writes_it_down(checkpoint, manifest):
    found = evaluate(checkpoint, manifest)
    assert found.split == "test"
    assert found.overall.photos == 11
    assert {name: metrics.photos for name, metrics in found.regions.items()} == {
        "chicago": 3,
        "serengeti": 8,
    }
    written = read_json(checkpoint)
    assert written["overall"]["top1"] == found.overall.top1
    assert written["regions"]["serengeti"]["photos"] == 8
    assert (written["split"], written["unknown_species"], written["unreadable"]) == ("test", 0, 0)
    assert evaluate(checkpoint, manifest, split="val").overall.photos == 4


def test_without_one_readable_photo_nothing_is_measured(checkpoint, tmp_path):
    manifest = tiny_manifest(tmp_path, train=1, val=1, test=3)
    for i in (2, 3, 4):
        (tmp_path / "photos" / f"{i}.jpg").write_bytes(b"no photo")
    before = (checkpoint / "metrics.json").exists()
    with pytest.raises(ManifestError, match=r"none of 3 photos could be read, the first because"):
        evaluate(checkpoint, manifest)
    assert (checkpoint / "metrics.json").exists() == before


def test_a_split_without_labels_is_refused(checkpoint, tmp_path):
    manifest = tiny_manifest(tmp_path, train=2, val=2, test=0)
    expected = r"manifest.parquet: no labelled photo in split test; nothing to evaluate"
    with pytest.raises(ManifestError, match=expected):
        evaluate(checkpoint, manifest)


def test_an_encoder_cannot_be_evaluated(tmp_path, manifest):
    write_checkpoint(tmp_path, classes=(), head="none")
    expected = "an encoder without classes cannot be evaluated. Train it on labelled photos first: "
    with pytest.raises(CheckpointError, match=expected):
        evaluate(tmp_path, manifest)


def test_batch_norm_uses_its_running_statistics(tmp_path, manifest):
    # A photo's answer does not depend on the photos beside it.
    write_checkpoint(tmp_path)
    photos = Manifest.read(manifest).split("test")
    network, config = load_checkpoint(tmp_path)
    together = infer(network, config, photos, title="test").logits_NC
    alone = infer(network, config, photos.where(np.arange(11) == 4), title="test").logits_NC
    np.testing.assert_allclose(together[4], alone[0], atol=1e-5)
