"""Training to a checkpoint: what is selected, what is written, what is refused."""

import csv
import dataclasses
import json
import math

import pytest
import torch
from safetensors.torch import load_file
from tiny_training import (
    CLASSES,
    SPECIES,
    draw_photo,
    manifest_of,
    tiny_config,
    tiny_manifest,
    tiny_teacher,
)

from homerange.data.manifest import Manifest
from homerange.errors import CheckpointError, ManifestError
from homerange.model import backbone as backbone_module
from homerange.model.backbone import build_encoder, save_start
from homerange.model.checkpoint import load_checkpoint, read_config
from homerange.train import dense as dense_module
from homerange.train import loop as loop_module
from homerange.train import stage as stage_module
from homerange.train import teacher as teacher_module
from homerange.train.augment import seeded
from homerange.train.dense import train_dense
from homerange.train.evaluate import evaluate


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return tiny_manifest(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def trained(manifest, tmp_path_factory):
    """Three epochs with everything that is random in training."""
    folder = tmp_path_factory.mktemp("trained") / "checkpoint"
    return train_dense(manifest, folder, tiny_config(epochs=3))


def log(folder):
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def rewrite(source, target, change):
    """A manifest like another, with each row changed."""
    whole = Manifest.read(source)
    rows = [change(dict(row)) for row in whole.table.to_pylist()]
    manifest_of([row for row in rows if row], whole.root).write(target)
    return target


# What is written


def test_a_training_says_what_it_left_behind(trained):
    assert trained.classes == CLASSES  # species in order of their names, then outcomes
    assert trained.photos == 12
    assert trained.unreadable == []
    names = {path.name for path in trained.folder.iterdir()}
    assert names == {"config.json", "log.csv", "training_state.pt", "weights.safetensors"}


def test_the_config_holds_recipe_preprocessing_and_provenance(trained, manifest):
    config = read_config(trained.folder)
    assert config.classes == CLASSES
    assert (config.preprocessing.input_px, config.preprocessing.fit) == (64, "squash")
    assert config.recipe["mixup"] == 0.4
    assert config.provenance["photos"] == {"train": 12, "val": 6, "test": 7}
    assert config.provenance["start"] == "none"
    assert len(config.provenance["manifest_sha256"]) == 64


def test_the_log_has_one_line_for_each_epoch(trained):
    lines = log(trained.folder)
    assert [line["epoch"] for line in lines] == ["1", "2", "3"]
    assert list(lines[0]) == ["epoch", "train_loss", "val_loss", "val_top1", "selected"]
    assert all(math.isfinite(float(line["train_loss"])) for line in lines)


def test_the_checkpoint_has_the_accuracy_that_its_epoch_was_selected_for(trained, manifest):
    accuracy = [float(line["val_top1"]) for line in log(trained.folder)]
    selected = [float(line["val_top1"]) for line in log(trained.folder) if line["selected"] == "1"]
    assert selected[-1] == max(accuracy)
    found = evaluate(trained.folder, manifest, split="val").overall.top1
    assert found == pytest.approx(selected[-1], abs=1e-4)


def test_training_twice_gives_the_same_weights(trained, manifest, tmp_path):
    again = train_dense(manifest, tmp_path / "again", tiny_config(epochs=3))
    ours, theirs = (
        load_file(folder / "weights.safetensors") for folder in (trained.folder, again.folder)
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_training_moves_every_tensor_that_can_move(trained):
    network, _ = load_checkpoint(trained.folder)
    with seeded(tiny_config().seed):
        fresh = read_config(trained.folder).network()
    for name, p in network.named_parameters():
        assert not torch.equal(p, dict(fresh.named_parameters())[name]), name


def test_the_global_generator_does_not_enter(manifest, tmp_path):
    for seed in (1, 2):
        torch.manual_seed(seed)
        train_dense(manifest, tmp_path / str(seed), tiny_config(epochs=1))
    one, two = (load_file(tmp_path / str(seed) / "weights.safetensors") for seed in (1, 2))
    assert all(torch.equal(one[name], two[name]) for name in one)


# Which epoch is kept


def scripted_judge(monkeypatch, scores):
    """Let the epochs score as told; returns the weights that each was judged with."""
    judged = []

    def judge(run):
        judged.append({k: t.clone() for k, t in run.learner.network.state_dict().items()})
        score = scores[len(judged) - 1]
        return score, 0.5, score

    monkeypatch.setattr(loop_module._Run, "judge", judge)
    return judged


@pytest.mark.parametrize(
    ("scores", "kept", "selected"),
    [
        ((0.2, 0.9, 0.5), 1, "110"),
        ((0.2, 0.5, 0.9), 2, "111"),
        ((0.9, 0.5, 0.2), 0, "100"),
        ((0.5, 0.2, 0.5), 2, "101"),  # of equals, the one that learnt longer
    ],
)
def test_the_weights_of_the_best_epoch_are_kept(
    manifest, tmp_path, monkeypatch, scores, kept, selected
):
    judged = scripted_judge(monkeypatch, scores)
    train_dense(manifest, tmp_path, tiny_config(epochs=3))
    weights = load_file(tmp_path / "weights.safetensors")
    assert weights.keys() == judged[kept].keys()
    assert all(torch.equal(weights[name], judged[kept][name]) for name in weights)
    assert "".join(line["selected"] for line in log(tmp_path)) == selected


def test_without_validation_photos_the_last_epoch_is_kept(manifest, tmp_path):
    def no_val(row):
        return row if row["split"] != "val" else None

    path = rewrite(manifest, tmp_path / "no_val.parquet", no_val)
    train_dense(path, tmp_path / "c", tiny_config())
    assert [line["selected"] for line in log(tmp_path / "c")] == ["1", "1"]
    assert [line["val_top1"] for line in log(tmp_path / "c")] == ["nan", "nan"]


def test_validation_photos_of_a_species_that_is_not_learnt_are_passed_over(manifest, tmp_path):
    def rename(row):
        return row | {"species": "Lepus europaeus"} if row["split"] == "val" else row

    path = rewrite(manifest, tmp_path / "hares.parquet", rename)
    trained = train_dense(path, tmp_path / "c", tiny_config(epochs=1))
    assert "Lepus europaeus" not in trained.classes
    assert (tmp_path / "c" / "weights.safetensors").is_file()


def test_the_rate_follows_the_schedule_step_by_step(manifest, tmp_path, monkeypatch):
    asked, used = [], []

    def factor(step, **how):
        asked.append((step, how))
        return 0.5 + step / 100

    original = loop_module._Run.one_step

    def spy(run, *arguments):
        loss = original(run, *arguments)
        used.append([group["lr"] / group["peak"] for group in run.optimizer.param_groups])
        return loss

    monkeypatch.setattr(loop_module, "rate_factor", factor)
    monkeypatch.setattr(loop_module._Run, "one_step", spy)
    train_dense(manifest, tmp_path, tiny_config(epochs=2, warmup_epochs=0.5))
    # 12 photos in batches of 4: 3 steps an epoch; half an epoch of warmup is 1.5, so 2 steps.
    assert sorted({step for step, _ in asked}) == [0, 1, 2, 3, 4, 5]
    expected = {"steps": 6, "warmup_steps": 2, "warmup_from": 0.1, "final_rate": 0.1}
    assert all(how == expected for _, how in asked)
    assert used == [pytest.approx([0.5 + step / 100] * 4) for step in range(6)]


def test_every_step_has_a_mixup_and_a_dropout_of_its_own(manifest, tmp_path, monkeypatch):
    mixes, streams = [], []
    draw_mix = loop_module.draw_mix

    def spy_mix(batch, *, alpha, seed):
        if alpha:
            mixes.append(draw_mix(batch, alpha=alpha, seed=seed).share)
        return draw_mix(batch, alpha=alpha, seed=seed)

    def spy_seeded(*numbers):
        streams.append(numbers)
        return seeded(*numbers)

    monkeypatch.setattr(loop_module, "draw_mix", spy_mix)
    monkeypatch.setattr(loop_module, "seeded", spy_seeded)
    train_dense(manifest, tmp_path, tiny_config(epochs=2))
    assert len(set(mixes)) == len(mixes) == 6
    assert len(set(streams)) == len(streams) == 6


# Where it starts


def test_the_shipped_start_is_loaded_and_named_by_its_hash(manifest, tmp_path, monkeypatch):
    path = tmp_path / "mobilevitv2_050.safetensors"
    encoder = build_encoder()
    save_start(encoder, path, card={})
    for module in (backbone_module, dense_module):
        monkeypatch.setattr(module, "SHIPPED_START", path)
    seen = []
    monkeypatch.setattr(
        stage_module, "fit", lambda _f, learner, *_, **__: seen.append(learner) or []
    )
    train_dense(manifest, tmp_path / "c", tiny_config(start="shipped"))
    found = seen[0].network.encoder.state_dict()["stem.conv.weight"]
    assert torch.equal(found, encoder.state_dict()["stem.conv.weight"].half().float())
    start = read_config(tmp_path / "c").provenance["start"]
    assert start.startswith("shipped mobilevitv2_050.safetensors sha256 ")
    assert len(start.split()[-1]) == 64


# With a teacher


@pytest.fixture
def teacher(tmp_path):
    return str(tiny_teacher(tmp_path / "teacher.onnx"))


def test_labels_and_a_teacher_together_learn_from_unlabelled_photos_too(
    manifest, tmp_path, teacher, monkeypatch
):
    def forget_half(row):
        known = row["split"] != "train" or int(row["observation_id"]) < 6
        return row if known else row | {"species": None}

    path = rewrite(manifest, tmp_path / "half.parquet", forget_half)
    config = tiny_config(teacher=teacher, teacher_weight=2.0, teacher_px=32, views=2, epochs=3)
    trained = train_dense(path, tmp_path / "c", config)
    assert trained.photos == 12
    assert trained.classes == CLASSES
    assert all(math.isfinite(float(line["train_loss"])) for line in log(tmp_path / "c"))
    # A second training on the same photos finds the features where the first left them.
    (tmp_path / "d").mkdir()
    features = sorted((tmp_path / "c").glob("teacher-*.npy"))
    assert len(features) == 2  # of the training photos, and of the plain validation photos
    for file in features:
        file.rename(tmp_path / "d" / file.name)

    def refuse(*_):
        raise AssertionError("the teacher was opened again")

    monkeypatch.setattr(teacher_module, "open_teacher", refuse)
    train_dense(path, tmp_path / "d", config)
    ours, theirs = (load_file(tmp_path / name / "weights.safetensors") for name in "cd")
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_an_encoder_learns_from_a_teacher_and_photos_alone(manifest, tmp_path, teacher):
    path = rewrite(manifest, tmp_path / "none.parquet", lambda row: row | {"species": None})
    config = tiny_config(
        teacher=teacher, teacher_weight=1.0, teacher_px=32, views=2, head="none", labels_weight=0.0
    )
    trained = train_dense(path, tmp_path / "c", config)
    assert trained.classes == ()
    network, _ = load_checkpoint(tmp_path / "c")
    assert network.head is None
    losses = [float(line["val_loss"]) for line in log(tmp_path / "c")]
    best = [float(line["val_loss"]) for line in log(tmp_path / "c") if line["selected"] == "1"][-1]
    assert best == min(losses)


def test_the_encoder_of_one_training_is_the_start_of_the_next(trained, manifest, tmp_path):
    seen = []
    start = str(trained.folder / "weights.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage_module, "fit", lambda _f, learner, *_, **__: seen.append(learner) or [])
        train_dense(manifest, tmp_path, tiny_config(start=start))
    expected = load_file(start)
    for name, tensor in seen[0].network.encoder.state_dict().items():
        assert torch.equal(tensor, expected[f"encoder.{name}"])


def test_a_file_in_the_place_of_the_checkpoint_is_refused(manifest, tmp_path):
    (tmp_path / "c").write_text("mine")
    with pytest.raises(CheckpointError, match=r"c is a file, not a folder. Choose another output"):
        train_dense(manifest, tmp_path / "c", tiny_config())
    assert (tmp_path / "c").read_text() == "mine"


# Photos that cannot be read


def test_unreadable_photos_of_train_and_val_are_reported_once(tmp_path):
    path = tiny_manifest(tmp_path, train=8, val=4, test=0)
    for photo in (0, 9):
        (tmp_path / "photos" / f"{photo}.jpg").write_bytes(b"no photo")
    trained = train_dense(path, tmp_path / "c", tiny_config(epochs=2))
    assert [bad.image for bad in trained.unreadable] == ["0.jpg", "9.jpg"]
    assert trained.first_process


def test_unreadable_photos_are_reported_once_and_training_goes_on(tmp_path):
    path = tiny_manifest(tmp_path, val=0, test=0)
    (tmp_path / "photos" / "3.jpg").write_bytes(b"no photo")
    (tmp_path / "photos" / "7.jpg").unlink()
    trained = train_dense(path, tmp_path / "c", tiny_config(epochs=3))
    assert [(bad.photo, bad.image) for bad in trained.unreadable] == [(3, "3.jpg"), (7, "7.jpg")]
    assert (tmp_path / "c" / "weights.safetensors").is_file()


def test_a_batch_without_one_readable_photo_is_passed_over(tmp_path):
    for i in range(2):
        draw_photo(tmp_path / f"{i}.jpg", (99, 99, 99), seed=i)
    (tmp_path / "0.jpg").write_bytes(b"no photo")
    rows = [{"species": SPECIES[i], "split": "train"} for i in range(2)]
    manifest_of(rows, tmp_path).write(tmp_path / "two.parquet")
    trained = train_dense(tmp_path / "two.parquet", tmp_path / "c", tiny_config(batch_size=1))
    assert len(trained.unreadable) == 1


# What is refused


def test_a_checkpoint_is_not_replaced(trained, manifest):
    before = (trained.folder / "config.json").read_bytes()
    with pytest.raises(CheckpointError, match=r"holds a checkpoint already. Add --resume to go on"):
        train_dense(manifest, trained.folder, tiny_config(epochs=9))
    assert (trained.folder / "config.json").read_bytes() == before


def test_a_finished_checkpoint_without_its_state_is_not_replaced_either(
    trained, manifest, tmp_path
):
    for name in ("config.json", "weights.safetensors"):
        (tmp_path / name).write_bytes((trained.folder / name).read_bytes())
    with pytest.raises(CheckpointError, match=r"holds a checkpoint already. Write to another"):
        train_dense(manifest, tmp_path, tiny_config())  # nothing can be resumed there


def test_a_manifest_without_training_photos_is_refused(manifest, tmp_path):
    def all_test(row):
        return row | {"split": "test"}

    path = rewrite(manifest, tmp_path / "t.parquet", all_test)
    with pytest.raises(ManifestError, match="no labelled photo in split train; it holds 25 rows"):
        train_dense(path, tmp_path / "c", tiny_config())
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("with_teacher", [False, True])
def test_labels_cannot_be_learnt_from_photos_without_any(manifest, tmp_path, teacher, with_teacher):
    path = rewrite(manifest, tmp_path / "n.parquet", lambda row: row | {"species": None})
    config = tiny_config().with_teacher(teacher if with_teacher else None)
    with pytest.raises(ManifestError, match="no labelled photo in split train"):
        train_dense(path, tmp_path / "c", config)


def test_config_json_is_plain_json(trained):
    json.loads((trained.folder / "config.json").read_text(), parse_constant=pytest.fail)


def test_a_training_without_one_readable_photo_is_refused_and_leaves_no_weights(tmp_path):
    path = tiny_manifest(tmp_path, train=4, val=0, test=0)
    for photo in (tmp_path / "photos").glob("*.jpg"):
        photo.write_bytes(b"no photo")
    with pytest.raises(ManifestError, match=r"none of 4 photos could be read, .* looked for in"):
        train_dense(path, tmp_path / "c", tiny_config())
    assert not (tmp_path / "c" / "weights.safetensors").exists()


def test_a_process_without_a_readable_photo_moves_nothing(manifest, tmp_path, monkeypatch):
    # Alone, such a step is left out; among several processes it must still be taken.
    losses = []
    one_step = loop_module._Run.one_step

    def empty(self, batch, steps):
        before = {n: p.clone() for n, p in self.learner.named_parameters()}
        for group in self.optimizer.param_groups:
            group["weight_decay"] = 0.0
        nothing = dataclasses.replace(
            batch,
            pixels_B3HW=batch.pixels_B3HW[:0],
            class_B=batch.class_B[:0],
            photo_B=batch.photo_B[:0],
        )
        losses.append(one_step(self, nothing, steps))
        assert all(torch.equal(p, before[n]) for n, p in self.learner.named_parameters())
        return 0.0

    monkeypatch.setattr(loop_module._Run, "one_step", empty)
    train_dense(manifest, tmp_path / "c", tiny_config(epochs=1))
    assert losses == [0.0, 0.0, 0.0]
