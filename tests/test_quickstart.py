"""The quickstart goes on without photos it cannot read, and stops where a step fails."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import homerange

SCRIPT = Path(homerange.__file__).parents[1] / "runs" / "quickstart.sh"

# Each stub writes down what it was asked. A verb answers with the code in the file of its name.
HOMERANGE = """#!/usr/bin/env bash
echo "$*" >> commands
if [ "$1" = photos ]; then
  while [ "$1" != -o ]; do shift; done
  cp train.csv "$2"
  exit 0
fi
exit "$(cat "answer-$1" 2> /dev/null || echo 0)"
"""
PYTHON = """#!/usr/bin/env bash
case "$*" in
  *busy_places*) cat places; exit "$(cat answer-places 2> /dev/null || echo 0)" ;;
  *sample_photos*) exit "$(cat answer-download 2> /dev/null || echo 0)" ;;
  -c*) exec "$REAL_PYTHON" "$@" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path):
    """A folder with the script, and with stubs where it looks for its programs."""
    (tmp_path / "runs").mkdir()
    shutil.copy(SCRIPT, tmp_path / "runs")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name, text in (("homerange", HOMERANGE), ("python", PYTHON)):
        stub = tmp_path / ".venv" / "bin" / name
        stub.write_text(text)
        stub.chmod(0o755)
    (tmp_path / "places").write_text("north 2.0 34.0\nsouth -2.0 34.0\n")
    labelled(tmp_path, 99)
    return tmp_path


def labelled(checkout, photos):
    (checkout / "train.csv").write_text("file,species\n" + "a.jpg,Panthera leo\n" * photos)


def quickstart(checkout):
    """Run the script; return how it ended and the verbs that it gave."""
    environment = {**os.environ, "REAL_PYTHON": sys.executable, "OUT": "out"}
    for name in ("HOMERANGE_PHOTOS", "QUICK"):
        environment.pop(name, None)
    done = subprocess.run(
        ["bash", "runs/quickstart.sh"],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done, (checkout / "commands").read_text().splitlines()


def count(commands, verb):
    return sum(command.split()[0] == verb for command in commands)


def test_every_step_is_taken_for_both_places(checkout):
    done, commands = quickstart(checkout)
    assert done.returncode == 0, done.stderr
    expected = {"import": 1, "train": 2, "profile": 1, "get": 2, "report": 2, "predict": 2}
    for verb, times in expected.items():
        assert count(commands, verb) == times
    assert "north: package out/north.homerange" in done.stdout
    assert "south: package out/south.homerange" in done.stdout


@pytest.mark.parametrize("verb", ["import", "train", "evaluate", "profile", "predict"])
def test_photos_that_cannot_be_read_do_not_end_it(checkout, verb):
    (checkout / f"answer-{verb}").write_text("3")
    done, commands = quickstart(checkout)
    assert done.returncode == 0, done.stderr
    assert count(commands, "predict") == 2


@pytest.mark.parametrize(
    "verb", ["import", "train", "evaluate", "profile", "get", "report", "predict"]
)
def test_a_step_that_fails_ends_it(checkout, verb):
    (checkout / f"answer-{verb}").write_text("1")
    done, commands = quickstart(checkout)
    assert done.returncode == 1
    assert commands[-1].split()[0] == verb
    assert "done in" not in done.stdout


def test_where_no_place_can_be_found_it_ends_and_does_not_say_done(checkout):
    (checkout / "answer-places").write_text("1")
    (checkout / "places").write_text("")
    done, commands = quickstart(checkout)
    assert done.returncode == 1
    assert commands[-1].split()[0] == "profile"
    assert "done in" not in done.stdout


@pytest.mark.parametrize(
    ("photos", "epochs"),
    # 6,000 photos are shown: 6,000 / 100 = 60, at most 40; 6,000 / 1,000; 6,000 / 7,000; / 20,000.
    [(99, 40), (999, 6), (6_999, 1), (19_999, 1)],
)
def test_few_photos_are_shown_more_often_than_many(checkout, photos, epochs):
    labelled(checkout, photos)
    _, commands = quickstart(checkout)
    dense, experts = (command for command in commands if command.startswith("train"))
    assert f"--set epochs={epochs} " in dense
    assert f"--set epochs={min(epochs, 6)} " in experts


def test_without_a_download_a_planet_is_drawn_and_no_reason_is_guessed(checkout):
    (checkout / "answer-download").write_text("1")
    done, commands = quickstart(checkout)
    assert done.returncode == 0, done.stderr
    assert "none downloaded (see above), so a synthetic planet is drawn" in done.stdout
    assert commands[0].startswith("import table out/drawn/manifest.csv")
