"""Law: a training that was interrupted at any step ends with the weights of one that was not."""

import csv
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from tiny_training import tiny_config, tiny_manifest, tiny_teacher

from homerange.errors import CheckpointError, ConfigError
from homerange.train import loop as loop_module
from homerange.train.dataset import TrainingPhotos
from homerange.train.dense import train_dense
from homerange.train.state import STATE

STEPS = 9  # 12 photos in batches of 4, three epochs
CONFIG = tiny_config(epochs=3, input_px=32)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return tiny_manifest(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def uninterrupted(manifest, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted") / "checkpoint"
    train_dense(manifest, folder, CONFIG)
    return folder


def val_columns(folder):
    """Everything but the mean training loss, which a resumed epoch knows for its last part only."""
    with (folder / "log.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "train_loss"} for row in csv.DictReader(file)]


def assert_same_training(folder, expected):
    """The selected weights, the last weights, the optimizer and the log are equal to the bit."""
    ours, theirs = (load_file(path / "weights.safetensors") for path in (folder, expected))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    states = [torch.load(path / STATE, weights_only=True) for path in (folder, expected)]
    assert states[0]["state"] == states[1]["state"]
    assert states[0]["state"]["step"] == STEPS
    for name, tensor in states[1]["learner"].items():
        assert torch.equal(states[0]["learner"][name], tensor), name
    for number, moments in states[1]["optimizer"]["state"].items():
        for name, tensor in moments.items():
            assert torch.equal(states[0]["optimizer"]["state"][number][name], tensor)
    assert val_columns(folder) == val_columns(expected)


def saved_step(folder):
    return torch.load(folder / STATE, weights_only=True)["state"]["step"]


def interrupt(monkeypatch, owner, name, *, at_call, after=False, error=KeyboardInterrupt):
    """Let the ``at_call``-th call of a method be stopped, before its work or after it."""
    original = getattr(owner, name)
    calls = []

    def stopping(self, *arguments):
        calls.append(arguments)
        if len(calls) == at_call and not after:
            raise error
        result = original(self, *arguments)
        if len(calls) == at_call:
            raise error
        return result

    monkeypatch.setattr(owner, name, stopping)


def interrupted_and_resumed(manifest, folder, monkeypatch, config=CONFIG, **how):
    with monkeypatch.context() as patch:
        interrupt(patch, how.pop("owner"), how.pop("name"), **how)
        with pytest.raises(how.get("error", KeyboardInterrupt)):
            train_dense(manifest, folder, config)
    step = saved_step(folder)
    train_dense(manifest, folder, config, resume=True)
    return step


@pytest.mark.parametrize(("photo", "step"), [(18, 4), (25, 6)])
def test_ctrl_c_between_two_steps_loses_nothing(
    manifest, uninterrupted, tmp_path, monkeypatch, photo, step
):
    # While the photos of a step are read, the steps before it are done: photo 18 is in step 5.
    where = {"owner": TrainingPhotos, "name": "pixels", "at_call": photo}
    assert interrupted_and_resumed(manifest, tmp_path, monkeypatch, **where) == step
    assert_same_training(tmp_path, uninterrupted)


@pytest.mark.parametrize("at_step", [3, 5])
def test_ctrl_c_inside_a_step_goes_back_to_the_last_whole_step(
    manifest, uninterrupted, tmp_path, monkeypatch, at_step
):
    # The step has moved the weights already, but is not counted: it must not be saved half done.
    monkeypatch.setattr(loop_module, "SAVE_EVERY_S", -1.0)
    where = {"owner": loop_module._Run, "name": "one_step", "at_call": at_step, "after": True}
    assert interrupted_and_resumed(manifest, tmp_path, monkeypatch, **where) == at_step - 1
    assert_same_training(tmp_path, uninterrupted)


@pytest.mark.parametrize("after", [False, True])
def test_ctrl_c_while_an_epoch_is_judged_judges_it_again(
    manifest, uninterrupted, tmp_path, monkeypatch, after
):
    # Step 6 ends the second epoch. A state at step 6 would go on with the third and never judge
    # the second, so the last state to go on from is that of step 5.
    monkeypatch.setattr(loop_module, "SAVE_EVERY_S", -1.0)
    where = {"owner": loop_module._Run, "name": "judge", "at_call": 2, "after": after}
    assert interrupted_and_resumed(manifest, tmp_path, monkeypatch, **where) == 5
    assert_same_training(tmp_path, uninterrupted)


def test_a_kill_after_the_weights_were_selected_repeats_no_line_of_the_log(
    manifest, uninterrupted, tmp_path, monkeypatch
):
    # Saved are steps 1, 2, the first epoch, steps 4, 5 and the second epoch: the sixth save fails,
    # after the line and the weights of that epoch were written.
    monkeypatch.setattr(loop_module, "SAVE_EVERY_S", -1.0)
    where = {"owner": loop_module._Run, "name": "save", "at_call": 6, "error": SystemExit}
    assert interrupted_and_resumed(manifest, tmp_path, monkeypatch, **where) == 5
    assert_same_training(tmp_path, uninterrupted)


def test_a_training_may_be_interrupted_at_every_step(
    manifest, uninterrupted, tmp_path, monkeypatch
):
    for _ in range(STEPS):
        resume = (tmp_path / STATE).is_file()
        with monkeypatch.context() as patch:
            # The first photo of the second batch of this launch.
            interrupt(patch, TrainingPhotos, "pixels", at_call=5)
            try:
                train_dense(manifest, tmp_path, CONFIG, resume=resume)
            except KeyboardInterrupt:
                continue
    assert_same_training(tmp_path, uninterrupted)


def test_with_a_teacher_too_the_weights_are_the_same(manifest, tmp_path, monkeypatch):
    teacher = str(tiny_teacher(tmp_path / "teacher.onnx"))
    config = replace(CONFIG, teacher=teacher, teacher_weight=2.0, teacher_px=32, views=2)
    train_dense(manifest, tmp_path / "whole", config)
    where = {"owner": loop_module._Run, "name": "one_step", "at_call": 5}
    interrupted_and_resumed(manifest, tmp_path / "parts", monkeypatch, config, **where)
    assert_same_training(tmp_path / "parts", tmp_path / "whole")


def test_resuming_a_finished_training_changes_nothing(manifest, uninterrupted, tmp_path):
    shutil.copytree(uninterrupted, tmp_path / "copy")
    train_dense(manifest, tmp_path / "copy", CONFIG, resume=True)
    assert_same_training(tmp_path / "copy", uninterrupted)


def test_a_training_stopped_before_its_first_state_starts_again_without_resume(
    manifest, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        interrupt(patch, loop_module._Run, "one_step", at_call=1)
        with pytest.raises(KeyboardInterrupt):
            train_dense(manifest, tmp_path, CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    train_dense(manifest, tmp_path, tiny_config(epochs=1))
    assert (tmp_path / "weights.safetensors").is_file()


# What is refused


def test_without_a_state_there_is_nothing_to_resume_and_nothing_is_written(manifest, tmp_path):
    with pytest.raises(
        CheckpointError, match=r"training_state.pt: nothing to resume. Train without"
    ):
        train_dense(manifest, tmp_path / "new", CONFIG, resume=True)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.5}, "learning_rate was 0.002 and is 0.5"),
        ({"epochs": 4}, "epochs was 3 and is 4"),
        ({"fit": "crop"}, "fit was 'squash' and is 'crop'"),
    ],
)
def test_another_recipe_is_refused_and_changes_nothing(manifest, uninterrupted, changes, message):
    before = (uninterrupted / "config.json").read_bytes()
    with pytest.raises(ConfigError, match=f"cannot resume: {message}. Use the same recipe"):
        train_dense(manifest, uninterrupted, replace(CONFIG, **changes), resume=True)
    assert (uninterrupted / "config.json").read_bytes() == before


def test_another_manifest_is_refused_and_changes_nothing(uninterrupted, tmp_path):
    before = (uninterrupted / "config.json").read_bytes()
    other = tiny_manifest(tmp_path, train=8)
    expected = r"cannot resume: .*manifest.parquet is not the manifest that .* was trained on"
    with pytest.raises(ConfigError, match=expected):
        train_dense(other, uninterrupted, CONFIG, resume=True)
    assert (uninterrupted / "config.json").read_bytes() == before


def test_a_damaged_state_is_refused(manifest, uninterrupted, tmp_path):
    shutil.copytree(uninterrupted, tmp_path / "copy")
    (tmp_path / "copy" / STATE).write_bytes(b"half a file")
    with pytest.raises(CheckpointError, match=r"training_state.pt: the state is damaged"):
        train_dense(manifest, tmp_path / "copy", CONFIG, resume=True)
