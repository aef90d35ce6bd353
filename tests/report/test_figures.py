"""The figures of a place, from a published world to files; and what stops them, in one line."""

import csv
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from fakes import build_world
from tiny_training import CLASSES, tiny_manifest
from tiny_world import expert_checkpoint

from homerange.cli import main
from homerange.data.manifest import Manifest
from homerange.profile.expert_sums import expert_layers
from homerange.profile.publish import publish
from homerange.report.canvas import photos_text
from homerange.specialize.choose import Choice, choose
from homerange.train.dataset import PlainPhotos
from homerange.world.world import open_world

SPEC = {"layers": (1, 3, 5), "experts": 4, "hidden": 2}
AT = ("--at", "-2.33,34.83")
NAMES = ("routing", "tokens", "curves", "methods")
HERE = ("Equus quagga", "Panthera leo")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A world with exact drops, and its figures for the Serengeti."""
    folder = tmp_path_factory.mktemp("made")
    manifest = tiny_manifest(folder, train=4, val=12, test=16)
    checkpoint = folder / "checkpoint"
    config, network = expert_checkpoint(checkpoint, **SPEC)
    publish(checkpoint, manifest, folder / "world", exact=2)
    (folder / "photos" / "20.jpg").write_bytes(b"")  # a test photo of a lion breaks afterwards
    measured = ("--checkpoint", checkpoint, "--manifest", manifest)
    result = figures(folder / "world", folder / "out", "--experts", "first-order:5", *measured)
    return SimpleNamespace(
        folder=folder, world=folder / "world", out=folder / "out", result=result,
        checkpoint=checkpoint, manifest=manifest, network=network, config=config,
    )  # fmt: skip


def figures(world, output, *arguments):
    given = ["report", "figures", "--world", world, *AT, "-o", output, *arguments]
    return CliRunner().invoke(main, [str(part) for part in given])


def read(made, name):
    with (made.out / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def the_error(result):
    """The one line of an error of ours."""
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    return lines[0]


def val_rows(made, name):
    """Rows of a table of the world, of validation photos of the place's species and blanks."""
    of_place = {CLASSES.index(name) for name in (*HERE, "blank")}
    rows = pq.read_table(made.world / f"{name}.parquet").to_pylist()
    return [r for r in rows if r["split"] == "val" and r["class_index"] in of_place]


def test_each_figure_is_a_picture_with_its_numbers(made):
    assert sorted(path.name for path in made.out.iterdir()) == sorted(
        f"{name}.{kind}" for name in NAMES for kind in ("png", "csv")
    )
    assert made.result.stdout.split() == [str(made.out / f"{name}.png") for name in NAMES]


def test_a_photo_that_cannot_be_read_is_told_and_the_rest_is_measured(made):
    assert made.result.exit_code == 3
    told = made.result.stderr.splitlines()[-1]
    assert told == (
        "note: 1 test photos could not be read and are left out; homerange evaluate lists them "
        "with the reason"
    )
    # Of 16 test photos 4 are lions and 4 zebras; one lion is broken.
    assert {row["photos"] for row in read(made, "curves")} == {"7"}


def test_edges_are_the_sums_of_the_tables_over_the_validation_photos_of_the_place(made):
    expected = {}
    for row in val_rows(made, "edges"):
        key = (row["layer"], row["expert"], row["next_expert"])
        expected[key] = expected.get(key, 0) + row["tokens"]
    found = {
        (int(r["layer"]), int(r["expert"]), int(r["next_expert"])): int(r["tokens"])
        for r in read(made, "routing")
        if r["graph"] == "place"
    }
    assert found == expected
    total = sum(number for (layer, *_), number in expected.items() if layer == 1)
    for row in read(made, "routing"):
        if (row["graph"], row["layer"]) == ("place", "1"):
            assert float(row["share"]) == int(row["tokens"]) / total


def test_tokens_are_the_sums_of_the_tables_and_dropped_experts_are_marked(made):
    expected = {(layer, e): 0 for layer in (1, 3, 5) for e in range(4)}
    for row in val_rows(made, "routing"):
        expected[row["layer"], row["expert"]] += row["tokens"]
    rows = read(made, "tokens")
    assert {(int(r["layer"]), int(r["expert"])): int(r["tokens"]) for r in rows} == expected
    of_place = np.array([CLASSES.index(name) for name in sorted((*HERE, "blank"))])
    kept = choose(open_world(made.world), of_place, Choice(method="first-order", number=5))
    assert {(int(r["layer"]), int(r["expert"])) for r in rows if r["kept"] == "1"} == {
        (layer, e) for layer, experts in kept.items() for e in experts.tolist()
    }
    assert sum(r["kept"] == "0" for r in rows) == 5


def answers(made, kept):
    """True classes and logits of the readable test photos of the place's species, run directly."""
    photos = Manifest.read(made.manifest)
    plain = PlainPhotos(photos, CLASSES, made.config.preprocessing)
    names, splits = photos.strings("species"), photos.strings("split")
    rows = [
        i for i, (name, split) in enumerate(zip(names, splits, strict=True))
        if split == "test" and name in HERE and i != 20
    ]  # fmt: skip
    layers = expert_layers(made.network)
    for number, experts in kept.items():
        gone_E = torch.ones(4, dtype=torch.bool)
        gone_E[experts] = False
        layers[number].drop(gone_E, "reroute")
    with torch.no_grad():
        logits = made.network(torch.stack([plain.pixels(row) for row in rows]).float() / 255)
    for mlp in layers.values():
        mlp.drop(torch.zeros(4, dtype=torch.bool), "reroute")
    true = [CLASSES.index(names[row]) for row in rows]
    return np.array(true), logits.numpy()


def test_accuracy_is_that_of_the_network_that_drops_the_experts(made):
    of_place = np.array(sorted(CLASSES.index(name) for name in (*HERE, "blank")))
    for row in read(made, "methods"):
        if row["method"] == "random":
            continue
        choice = (
            Choice(method="threshold", percentile=float(row["percentile"]))
            if row["method"] == "threshold"
            else Choice(method=row["method"], number=int(row["dropped"]))
        )
        true_N, logits_NC = answers(made, choose(open_world(made.world), of_place, choice))
        masked_N = of_place[logits_NC[:, of_place].argmax(axis=1)]
        assert int(row["correct"]) == (logits_NC.argmax(axis=1) == true_N).sum()
        assert int(row["list_correct"]) == (masked_N == true_N).sum()


def test_every_method_drops_as_many_and_exact_is_among_them(made):
    rows = read(made, "methods")
    assert {row["method"] for row in rows} == {
        "threshold", "exact", "first-order", "frequency", "random",
    }  # fmt: skip
    by_percentile = {}
    for row in rows:
        by_percentile.setdefault(row["percentile"], set()).add(row["dropped"])
    assert {len(numbers) for numbers in by_percentile.values()} == {1}
    assert len(by_percentile) == 10


def in_a_new_python(arguments, before=""):
    """Run a verb; return its exit code, its modules and what it said on stderr."""
    code = f"""
import json, sys
{before}
from homerange.cli import main
try:
    code = main({[str(one) for one in arguments]!r})
except SystemExit as leaving:
    code = leaving.code
print(json.dumps([code, sorted(sys.modules)]))
"""
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    code, modules = json.loads(run.stdout.splitlines()[-1])
    return code, set(modules), run.stderr


def test_without_photos_two_figures_are_drawn_and_torch_is_not_loaded(made, tmp_path):
    given = ["report", "figures", "--world", made.world, *AT, "-o", tmp_path / "new" / "out"]
    code, modules, _ = in_a_new_python(given)
    assert code == 0
    assert modules.isdisjoint({"torch", "pyarrow", "matplotlib.pyplot"})
    assert len(list((tmp_path / "new" / "out").iterdir())) == 4


def test_without_matplotlib_the_command_that_installs_it_is_told(made, tmp_path):
    given = ["report", "figures", "--world", made.world, *AT, "-o", tmp_path / "out"]
    code, _, said = in_a_new_python(given, before="sys.modules['matplotlib'] = None")
    assert code == 1
    assert said == (
        "Error: this needs matplotlib, which is not installed. "
        "Run in homerange's folder: pip install '.[report]'\n"
    )


def test_a_world_without_experts_has_no_such_figures(tmp_path):
    build_world(tmp_path / "world")
    error = the_error(figures(tmp_path / "world", tmp_path / "out"))
    assert error.endswith("a world without experts; there are none to choose from")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("alone", ["--checkpoint", "--manifest"])
def test_a_checkpoint_and_its_manifest_go_together(alone, made, tmp_path):
    result = figures(made.world, tmp_path, alone, tmp_path)
    assert result.exit_code == 2
    assert "--checkpoint and --manifest measure together; give both" in result.stderr


def test_the_checkpoint_must_be_that_of_the_world(made, tmp_path):
    other = tmp_path / "other"
    expert_checkpoint(other, seed=1, **SPEC)
    given = ("--checkpoint", other, "--manifest", made.manifest)
    error = the_error(figures(made.world, tmp_path / "out", *given))
    assert f"{other}: is not the checkpoint that {made.world} was published from" in error
    assert "its class rows have other weights. Give that one, or publish this one" in error


def test_a_manifest_without_test_photos_of_the_species_measures_nothing(made, tmp_path):
    manifest = tiny_manifest(tmp_path, train=0, val=8, test=0)
    given = ("--checkpoint", made.checkpoint, "--manifest", manifest)
    error = the_error(figures(made.world, tmp_path / "out", *given))
    assert "0 test photos of the 2 species of within 100 km of -2.3300, 34.8300" in error
    assert "or leave out --checkpoint and --manifest" in error


def test_an_output_that_is_a_file_is_refused(made, tmp_path):
    (tmp_path / "out").write_text("mine")
    error = the_error(figures(made.world, tmp_path / "out"))
    assert f"{tmp_path / 'out'}: cannot be written" in error
    assert (tmp_path / "out").read_text() == "mine"


def test_few_photos_are_said_to_be_too_few():
    assert photos_text(29, "test") == "29 test photos: too few to measure"
    assert photos_text(30, "test") == "30 test photos"
