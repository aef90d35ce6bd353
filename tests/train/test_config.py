"""Recipes: every shipped one loads, and what cannot train is refused in the user's words."""

import ast
import dataclasses
import inspect
import itertools

import pytest
from tiny_training import tiny_config

from homerange.errors import ConfigError
from homerange.train import config as config_module
from homerange.train.config import TrainConfig
from homerange.train.recipe import RECIPES


@pytest.fixture
def recipe(tmp_path):
    def write(text):
        (tmp_path / "mine.toml").write_text(text)
        return tmp_path / "mine.toml"

    return write


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_loads_under_its_own_name(path):
    assert TrainConfig.read(path.stem).name == path.stem
    assert TrainConfig.read(path) == TrainConfig.read(path.stem)


def test_the_paper_recipe_holds_what_section_3_4_states():
    found = TrainConfig.read("paper")
    assert (found.input_px, found.batch_size, found.epochs, found.warmup_epochs) == (
        224,
        256,
        60,
        40,
    )
    assert (found.learning_rate, found.weight_decay) == (1e-4, 1e-8)
    assert (found.warmup_from, found.final_rate) == (0.8, 0.8)
    assert (found.mixup, found.label_smoothing, found.head_dropout) == (0.1, 0.05, 0.1)
    assert (found.crop_scale_min, found.randaugment, found.erase) == (0.8, 9, 0.2)
    assert (found.head, found.fit, found.start) == ("bottleneck", "crop", "timm")


def test_defaults_are_the_papers_where_a_recipe_says_nothing(recipe):
    assert TrainConfig.read(recipe('name = "mine"')) == TrainConfig(name="mine")


def test_every_setting_but_four_plain_ones_is_explained():
    body = ast.parse(inspect.getsource(TrainConfig)).body[0].body
    explained = {
        before.target.id
        for before, after in itertools.pairwise(body)
        if isinstance(before, ast.AnnAssign)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
    }
    names = inspect.get_annotations(TrainConfig).keys() - {"shipped_in"}
    assert names - explained == {"epochs", "weight_decay", "label_smoothing", "seed"}


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("epochs=5", "epochs", 5),
        (" epochs = 5 ", "epochs", 5),
        ("learning_rate=1e-3", "learning_rate", 0.001),
        ("mixup=0", "mixup", 0.0),  # a whole number where a decimal one is expected
        ("head=bottleneck", "head", "bottleneck"),  # a bare word, as people type it
        ('head="bottleneck"', "head", "bottleneck"),
        ("start=runs/old=1/weights.safetensors", "start", "runs/old=1/weights.safetensors"),
    ],
)
def test_an_override_replaces_one_setting(text, key, value):
    found = TrainConfig.read("paper", [text])
    assert getattr(found, key) == value
    assert type(getattr(found, key)) is type(value)
    assert dataclasses.replace(found, **{key: getattr(TrainConfig.read("paper"), key)}) == (
        TrainConfig.read("paper")
    )


def test_the_last_of_two_overrides_counts():
    assert TrainConfig.read("paper", ["epochs=5", "epochs=6"]).epochs == 6


def test_an_override_without_a_value_is_refused():
    with pytest.raises(ConfigError, match=r"--set epochs: expected key=value, for example --set"):
        TrainConfig.read("paper", ["epochs"])


def test_an_unknown_key_is_refused_with_the_nearest_name(recipe):
    with pytest.raises(
        ConfigError, match=r"'learning_rat' is unknown; did you mean learning_rate\?"
    ):
        TrainConfig.read(recipe("learning_rat = 0.1"))
    with pytest.raises(ConfigError, match=r"'epoch' is unknown; did you mean epochs\?"):
        TrainConfig.read("paper", ["epoch=3"])


def test_an_unknown_key_like_no_other_is_refused_with_all_names():
    with pytest.raises(
        ConfigError, match="'zzz' is unknown; settings are name, backbone, head, st"
    ):
        TrainConfig.read("paper", ["zzz=3"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs=2.5", "epochs is 2.5; expected int"),
        ("epochs=true", "epochs is True; expected int"),
        ("epochs=many", "epochs is 'many'; expected int"),
        ("epochs=", "epochs is ''; expected int"),
        ("learning_rate=high", "learning_rate is 'high'; expected float"),
        ("head=3", "head is 3; expected str"),
        ("erase=[0.1, 0.2]", r"erase is \[0.1, 0.2\]; expected float"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig.read("paper", [text])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is 0; it must be above 0"),
        ({"batch_size": -4}, "batch_size is -4; it must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan; it must be above 0"),
        ({"input_px": 0}, "input_px is 0; it must be above 0"),
        ({"views": 0}, "views is 0; it must be above 0"),
        ({"teacher_px": 0}, "teacher_px is 0; it must be above 0"),
        ({"workers": -1}, "workers is -1; it must be 0 or more"),
        ({"seed": -1}, "seed is -1; it must be 0 or more"),
        ({"mixup": -0.1}, "mixup is -0.1; it must be 0 or more"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0; it must be 0 or more"),
        ({"head_learning_rate": -1.0}, "head_learning_rate is -1.0; it must be 0 or more"),
        ({"warmup_epochs": -1.0}, "warmup_epochs is -1.0; it must be 0 or more"),
        ({"randaugment": -1}, "randaugment is -1; it must be 0 or more"),
        ({"labels_weight": -1.0}, "labels_weight is -1.0; it must be 0 or more"),
        ({"teacher_weight": -1.0}, "teacher_weight is -1.0; it must be 0 or more"),
        ({"warmup_from": 1.1}, "warmup_from is 1.1; it must be between 0 and 1"),
        ({"final_rate": -0.1}, "final_rate is -0.1; it must be between 0 and 1"),
        ({"crop_scale_min": 2.0}, "crop_scale_min is 2.0; it must be between 0 and 1"),
        ({"erase": 1.5}, "erase is 1.5; it must be between 0 and 1"),
        ({"label_smoothing": -0.1}, "label_smoothing is -0.1; it must be between 0 and 1"),
        ({"head_dropout": 1.5}, "head_dropout is 1.5; it must be between 0 and 1"),
        ({"head": "bottlneck"}, "head is 'bottlneck'; it must be one of plain, bottleneck, none"),
        ({"fit": "stretch"}, "fit is 'stretch'; it must be one of crop, squash"),
        ({"precision": "16"}, "precision is '16'; it must be one of auto, 32-true, bf16-mixed"),
        (
            {"labels_weight": 0.0},
            "labels_weight and teacher_weight are both 0; there is nothing to learn",
        ),
        (
            {"teacher": "lite0"},
            "teacher is 'lite0' but teacher_weight is 0.0; set both, or neither",
        ),
        ({"teacher_weight": 2.0}, "teacher is '' but teacher_weight is 2.0; set both, or neither"),
        ({"head": "none"}, 'head is "none" but labels_weight is 1.0; labels need a head'),
        (
            {"teacher": "lite0", "teacher_weight": 1.0, "labels_weight": 0.0},
            'head is "plain" but labels_weight is 0.0',
        ),
    ],
)
def test_what_cannot_train_is_refused_naming_the_setting(changes, message):
    with pytest.raises(ConfigError, match=message):
        tiny_config(**changes)


def test_the_choices_are_those_of_the_types():
    for name, choices in config_module.CHOICES.items():
        assert inspect.get_annotations(TrainConfig)[name].__args__ == choices


def test_an_unknown_recipe_is_refused_with_the_shipped_ones():
    expected = (
        "recipe 'papper' is unknown; shipped are .*paper, small-data, teacher.* A file of your"
    )
    with pytest.raises(ConfigError, match=expected):
        TrainConfig.read("papper")


def test_a_missing_recipe_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"absent.toml: no such recipe file"):
        TrainConfig.read(tmp_path / "absent.toml")


def test_a_recipe_that_is_not_toml_is_refused(recipe):
    with pytest.raises(ConfigError, match=r"mine.toml: not TOML: "):
        TrainConfig.read(recipe("epochs 5"))


def test_preprocessing_is_what_evaluation_and_device_do():
    found = tiny_config(input_px=160, fit="squash").preprocessing
    assert (found.input_px, found.fit) == (160, "squash")


def test_a_teacher_given_on_the_command_line_counts_four_times_the_labels():
    plain = tiny_config()
    assert plain.with_teacher(None) is plain
    taught = plain.with_teacher("lite0")
    assert (taught.teacher, taught.teacher_weight, taught.labels_weight) == ("lite0", 4.0, 1.0)


def test_another_teacher_keeps_the_weight_of_the_recipe():
    taught = TrainConfig.read("teacher").with_teacher("other.onnx")
    assert (taught.teacher, taught.teacher_weight) == ("other.onnx", 1.0)
