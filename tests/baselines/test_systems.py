"""One entry for all baselines: recipes, the verbs train and evaluate, and who reads what."""

import pytest
from click.testing import CliRunner

from homerange.baselines.config import BaselineConfig
from homerange.baselines.systems import network_of, read_recipe, train_baseline
from homerange.cli import main
from homerange.errors import CheckpointError, ConfigError
from homerange.model.checkpoint import load_checkpoint, read_config
from homerange.train.evaluate import evaluate

SHIPPED = sorted(path.stem for path in BaselineConfig.shipped_in.glob("*.toml"))
OWN = {
    "mobilenet": ("backbone=mobilenetv2_035",),
    "gnfg": (),
    "ptfl": ("rounds=1",),
    "flyp": (),
    "few-shot": ("place=-2.33,34.83",),
}


def settings_of(name, small, tiny_clip):
    clip = (f"backbone={tiny_clip}",) if name == "flyp" else ()
    return [*small, "epochs=1", *OWN[name], *clip]


def test_there_is_a_recipe_for_every_system_and_it_names_it():
    assert set(SHIPPED) == set(OWN)
    assert all(read_recipe(name).system == name for name in SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_system_is_trained_and_evaluated_by_the_same_two_verbs(
    name, manifest, dense, small, tiny_clip, tmp_path
):
    settings = [part for s in settings_of(name, small, tiny_clip) for part in ("--set", s)]
    start = ["--from", dense] if name in ("gnfg", "few-shot") else []
    command = ["train", "baseline", manifest, "-o", tmp_path / "c", "--recipe", name]
    result = CliRunner().invoke(main, [str(p) for p in (*command, *settings, *start)])
    assert result.exit_code == 0, result.output
    classes = 3 if name == "few-shot" else 4
    assert f"{9 if name == 'few-shot' else 12} photos, {classes} classes: " in result.stdout
    assert read_config(tmp_path / "c").recipe["system"] == name
    result = CliRunner().invoke(main, ["evaluate", str(tmp_path / "c"), str(manifest)])
    assert result.exit_code == 0, result.output
    assert "accuracy on split test" in result.stdout
    assert (tmp_path / "c" / "metrics.json").is_file()


@pytest.mark.parametrize("name", ["mobilenet", "gnfg"])
def test_a_network_that_is_not_ours_is_evaluated_and_nothing_else(
    name, manifest, dense, small, tmp_path
):
    config = read_recipe(name, settings_of(name, small, None))
    start = dense if name == "gnfg" else None
    folder = train_baseline(manifest, tmp_path / "c", config, from_checkpoint=start).folder
    assert evaluate(folder, manifest, build=network_of).overall.photos == 7
    with pytest.raises(CheckpointError, match=f"a checkpoint of the baseline {name}, which home"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", ["ptfl", "few-shot"])
def test_a_network_that_is_ours_is_an_ordinary_checkpoint(name, manifest, dense, small, tmp_path):
    config = read_recipe(name, settings_of(name, small, None))
    start = dense if name == "few-shot" else None
    folder = train_baseline(manifest, tmp_path / "c", config, from_checkpoint=start).folder
    assert (
        load_checkpoint(folder)[0].state_dict().keys()
        == load_checkpoint(dense)[0].state_dict().keys()
    )


def test_a_resumed_training_goes_on(manifest, dense, small, tmp_path):
    for name in ("mobilenet", "gnfg", "few-shot"):
        config = read_recipe(name, settings_of(name, small, None))
        start = dense if name != "mobilenet" else None
        for resume in (False, True):
            again = train_baseline(
                manifest, tmp_path / name, config, from_checkpoint=start, resume=resume
            )
        assert len((again.folder / "log.csv").read_text().splitlines()) == 2


# What is refused


def test_a_recipe_of_an_unknown_system_is_refused(tmp_path):
    (tmp_path / "mine.toml").write_text('system = "resnet"\n')
    expected = "system is 'resnet'; it must be one of mobilenet, gnfg, ptfl, flyp, few-shot"
    with pytest.raises(ConfigError, match=expected):
        read_recipe(tmp_path / "mine.toml")
    (tmp_path / "none.toml").write_text("epochs = 3\n")
    with pytest.raises(ConfigError, match="system is None; it must be one of mobilenet"):
        read_recipe(tmp_path / "none.toml")


def test_an_unknown_recipe_is_refused_with_the_shipped_ones():
    with pytest.raises(ConfigError, match="shipped are few-shot, flyp, gnfg, mobilenet, ptfl"):
        read_recipe("fedavg")


def test_a_setting_of_another_system_is_unknown():
    with pytest.raises(ConfigError, match="setting 'rounds' is unknown"):
        read_recipe("gnfg", ["rounds=3"])


@pytest.mark.parametrize("name", ["gnfg", "few-shot"])
def test_a_system_that_goes_on_needs_a_dense_checkpoint(name, manifest, tmp_path):
    with pytest.raises(ConfigError, match=f"{name} goes on from a dense checkpoint; name it: --fr"):
        train_baseline(manifest, tmp_path / "c", read_recipe(name))


@pytest.mark.parametrize("name", ["mobilenet", "ptfl", "flyp"])
def test_a_system_that_begins_takes_none(name, manifest, dense, tmp_path):
    expected = f"{name} starts from start = '.*', not from a checkpoint; leave --from out"
    with pytest.raises(ConfigError, match=expected):
        train_baseline(manifest, tmp_path / "c", read_recipe(name), from_checkpoint=dense)
