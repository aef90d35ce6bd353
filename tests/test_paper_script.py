"""The script of the paper: every command in an order that can work, for each of its data sets."""

import itertools
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import homerange
from homerange.data.regions import PLACE_SETS

SCRIPT = Path(homerange.__file__).parents[1] / "runs" / "paper.sh"
SETS = {"inat2017": None, "inat_geo_10k": "iNat-Geo-10K-6", "wilds_iwildcam": "iWildcam-6"}

# Writes down what it was asked, one argument a line, and makes the output that was named.
HOMERANGE = """#!/usr/bin/env bash
printf '%s\\n' "$@" . >> commands
[ "$1 $2" != "train $STOP" ] || { mkdir -p out/dense; touch out/dense/training_state.pt; exit 1; }
while [ $# -gt 0 ]; do
  if [ "$1" = -o ]; then
    case $2 in *.parquet) touch "$2" ;; *) mkdir -p "$2"; touch "$2/world.json" ;; esac
  fi
  shift
done
exit "${ANSWER:-0}"
"""


@pytest.fixture
def checkout(tmp_path):
    """A folder with the script, and a stub where it looks for homerange."""
    (tmp_path / "runs").mkdir()
    shutil.copy(SCRIPT, tmp_path / "runs")
    stub = tmp_path / ".venv" / "bin" / "homerange"
    stub.parent.mkdir(parents=True)
    stub.write_text(HOMERANGE)
    stub.chmod(0o755)
    return tmp_path


def run(checkout, *arguments, **environment):
    """Run the script; return how it ended and the commands that it gave since the last time."""
    log = checkout / "commands"
    log.unlink(missing_ok=True)
    done = subprocess.run(
        ["bash", "runs/paper.sh", *arguments],
        cwd=checkout,
        env={**os.environ, "STOP": "", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    text = log.read_text() if log.exists() else ""
    return done, [part.strip("\n").split("\n") for part in text.split("\n.\n") if part.strip()]


def option(command, name):
    return command[command.index(name) + 1] if name in command else None


@pytest.mark.parametrize("recipe", SETS)
def test_all_stages_run_in_an_order_in_which_each_finds_what_it_reads(checkout, recipe):
    done, commands = run(checkout, recipe, "data", "out")
    assert done.returncode == 0, done.stderr
    assert commands[0][0] == "import"
    made = {option(command, "-o") for command in commands}
    for i, command in enumerate(commands):
        before = {option(earlier, "-o") for earlier in commands[:i]}
        reads = [command[1] if command[0] != "train" else option(command, "--from")]
        reads += [
            word
            for word in command
            if word.endswith(".parquet") and word not in (option(command, "-o"),)
        ]
        assert {r for r in reads if r and r.startswith("out/")} <= before, command
    stages = {"dense", "loc-all", "loc-last-two", "experts", "loc-experts"}
    assert {f"out/{name}" for name in stages} <= made
    trainings = [command for command in commands if command[0] == "train"]
    assert all(option(command, "--recipe") == recipe for command in trainings)
    assert {"evaluate", "profile", "report"} <= {command[0] for command in commands}
    checkpoints = {
        word.partition("=")[2]
        for command in commands
        for before, word in itertools.pairwise(command)
        if before == "--checkpoint" and "=" in word
    }
    assert checkpoints <= made
    assert len(checkpoints) == (7 if SETS[recipe] else 0)


@pytest.mark.parametrize(("recipe", "places"), SETS.items())
def test_experts_are_finetuned_on_six_places_and_on_each(checkout, recipe, places):
    _, commands = run(checkout, recipe, "data", "out")
    asked = [option(command, "--of") for command in commands if command[:2] == ["import", "places"]]
    assert asked == ([places, *PLACE_SETS[places]] if places else [])
    finetuned = [c for c in commands if c[0] == "train" and c[2] != f"out/{recipe}.parquet"]
    assert len(finetuned) == 3 * len(asked)  # dense, experts, experts that know places


def test_the_dense_network_of_another_data_set_may_be_the_start_of_table_3(checkout):
    _, commands = run(checkout, "inat_geo_10k", "data", "out", DENSE="inat/dense")
    six = [c for c in commands if c[0] == "train" and c[2] == "out/iNat-Geo-10K-6.parquet"]
    assert option(six[0], "--set") == "start=inat/dense/weights.safetensors"
    assert [option(command, "--from") for command in six[1:]] == ["inat/dense", "out/loc-all"]


def test_inaturalist_2017_is_measured_on_val(checkout):
    _, commands = run(checkout, "inat2017", "data", "out")
    assert {option(c, "--split") for c in commands if c[0] == "evaluate"} == {"val"}


def test_settings_reach_every_training(checkout):
    _, commands = run(checkout, "wilds_iwildcam", "data", "out", SETTINGS="epochs=1 input_px=64")
    for command in commands:
        if command[0] == "train":
            assert " ".join(command).endswith("--set epochs=1 --set input_px=64")


def test_rows_that_were_refused_do_not_stop_it(checkout):
    done, commands = run(checkout, "inat2017", "data", "out", ANSWER="3")
    assert done.returncode == 0
    assert commands[-1][0] == "report"


def test_what_is_done_is_not_done_again_and_what_stopped_goes_on(checkout):
    done, commands = run(checkout, "inat2017", "data", "out", STOP="dense")
    assert done.returncode == 1
    assert commands[-1][:2] == ["train", "dense"]
    _, commands = run(checkout, "inat2017", "data", "out")
    trainings = [command for command in commands if command[0] == "train"]
    assert [command[1] for command in trainings if "--resume" in command] == ["dense"]
    _, commands = run(checkout, "inat2017", "data", "out")
    assert {command[0] for command in commands} == {"import", "evaluate", "report"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["inat2018", "data", "out"], "use inat2017, inat_geo_10k or wilds_iwildcam"),
        (["inat2017"], "runs/paper.sh inat2017 DATA OUT"),
    ],
)
def test_wrong_use_is_told_before_anything_runs(checkout, arguments, message):
    done, commands = run(checkout, *arguments)
    assert done.returncode == 2
    assert message in done.stdout + done.stderr
    assert commands == []
