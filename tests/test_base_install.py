"""The device runner in an environment of its own: what `pip install homerange` gives, no more.

Needs the package index, as does any fresh install; without it the test says so and is skipped,
except where CI is set.
"""

import json
import os
import subprocess
import venv
from pathlib import Path

import numpy as np
import pytest
from fakes import SERENGETI, build_world
from PIL import Image

import homerange
from homerange.specialize.specialize import specialize

ROOT = Path(homerange.__file__).parent.parent
TOO_MUCH = ("torch", "pyarrow", "duckdb", "onnx", "safetensors", "timm")


@pytest.fixture(scope="module")
def place_package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    build_world(folder / "world")
    return specialize(folder / "world", SERENGETI, folder / "serengeti.homerange").path


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The Python of a new environment with the base install alone."""
    folder = tmp_path_factory.mktemp("base")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    command = [python, "-m", "pip", "install", "--quiet", str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "CI" not in os.environ:
        pytest.skip(f"no package index here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return python


def test_the_base_install_holds_nothing_that_only_training_needs(base):
    code = f"""
import importlib.util
print([name for name in {TOO_MUCH} if importlib.util.find_spec(name)])
"""
    assert _run(base, "-c", code).stdout.strip() == "[]"


def test_predict_works_with_the_base_install_alone(base, place_package, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    generator = np.random.default_rng(0)
    for name in ("a.jpg", "b.png"):
        Image.fromarray(generator.integers(0, 256, (90, 120, 3), np.uint8)).save(photos / name)
    output = tmp_path / "results.json"
    command = ["-m", "homerange.cli", "predict", str(photos), "--model", str(place_package)]
    done = _run(base, *command, "-o", str(output), "--contact-sheet", str(tmp_path / "sheet.png"))
    assert done.returncode == 0, done.stderr
    files = [image["file"] for image in json.loads(output.read_text())["images"]]
    assert files == ["a.jpg", "b.png"]
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def test_a_verb_that_needs_more_says_what_to_install(base, tmp_path):
    table = tmp_path / "photos.csv"
    table.write_text("file,species\n")
    done = _run(base, "-m", "homerange.cli", "import", "table", str(table), "-o", "m.parquet")
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "Error: this needs pyarrow, which is not installed. "
        "Run in homerange's folder: pip install '.[train]'"
    )


def _run(python, *arguments):
    return subprocess.run(
        [python, *arguments], capture_output=True, text=True, check=False, cwd="/"
    )
