"""The documents are right: generated pages are fresh, commands parse, files and links exist."""

import ast
import dataclasses
import hashlib
import importlib.util
import re
import shlex
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from fakes import SERENGETI, build_world
from PIL import Image

import homerange
from homerange.cli import main
from homerange.data import synthetic
from homerange.data.importers import table as table_importer
from homerange.data.manifest import schema
from homerange.geo.cells import mean_edge_km
from homerange.run.results.table import COLUMNS
from homerange.specialize.specialize import specialize
from homerange.world.description import (
    Architecture,
    Description,
    ExpertLayer,
    Graph,
    Licence,
    Provenance,
)
from homerange.world.expert_tables import Drops, Edges, Routing
from homerange.world.place_package import MEMBERS, read_package
from homerange.world.ranges import Ranges
from homerange.world.tables import Evidence, Occurrence, Profile, Taxa
from homerange.world.world import OPTIONAL_FILES, WORLD_FILES

PACKAGE = Path(homerange.__file__).parent
ROOT = PACKAGE.parent
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
SOURCES = sorted(PACKAGE.rglob("*.py"))


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def blocks(text, *languages):
    """The fenced blocks of a page in one of some languages."""
    found = re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [body for language, body in found if language in languages]


def commands(text):
    """The homerange commands of a page's bash and console blocks, without ``homerange`` itself."""
    for block in blocks(text, "bash", "console"):
        for line in block.replace("\\\n", " ").splitlines():
            if found := re.match(r"(?:\$ )?(?:\w+=\S+ )*homerange (.+)$", line):
                yield found[1]


def rows(text, *, columns=None):
    """The cells of every row of the tables of a page."""
    for line in re.findall(r"^\| (.+) \|$", text, re.MULTILINE):
        cells = line.split(" | ")
        if columns is None or len(cells) == columns:
            yield cells


def words(cell):
    """The names in code marks of a cell."""
    return re.findall(r"`([^`]+)`", cell)


def load(script):
    spec = importlib.util.spec_from_file_location(script, DOCS / f"{script}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- generated pages ------------------------------------------------------------------------


def test_the_page_of_the_command_line_is_what_help_says():
    page = (DOCS / "cli.md").read_text()
    assert page == load("generate_cli").page(), "run: python docs/generate_cli.py"


def test_every_verb_and_every_option_is_on_that_page():
    page = (DOCS / "cli.md").read_text()
    found = []

    def walk(command, path):
        found.append(path)
        assert f"## {path}\n" in page
        section = page.partition(f"## {path}\n")[2].partition("\n## ")[0]
        for one in command.params:
            for form in one.opts if isinstance(one, click.Option) else ():
                assert form in section
        for name, below in getattr(command, "commands", {}).items():
            walk(below, f"{path} {name}")

    walk(main, "homerange")
    assert {"homerange predict", "homerange import table", "homerange train dense"} <= set(found)


def test_the_page_of_the_recipes_is_what_the_recipes_say():
    page = (DOCS / "recipes.md").read_text()
    assert page == load("generate_recipes").page(), "run: python docs/generate_recipes.py"


def test_every_setting_of_a_training_is_on_that_page():
    from homerange.baselines.config import BaselineConfig
    from homerange.baselines.systems import read_recipe
    from homerange.train.expert_config import ExpertConfig
    from homerange.train.location_config import LocationConfig
    from homerange.train.range_config import RangeConfig

    page = (DOCS / "recipes.md").read_text()
    named = {words(cells[0])[0] for cells in rows(page) if words(cells[0])}
    systems = [read_recipe(path.stem) for path in BaselineConfig.shipped_in.glob("*.toml")]
    assert len(systems) == 5
    configs = (ExpertConfig, LocationConfig, RangeConfig, *systems)
    assert named == {field.name for config in configs for field in dataclasses.fields(config)}


# --- commands and code ------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_on_a_page_can_be_given(page, monkeypatch):
    do_nothing(main, monkeypatch)
    for command in commands(page.read_text()):
        result = CliRunner().invoke(main, shlex.split(command))
        complaints = [line for line in result.stderr.splitlines() if not line.startswith("note: ")]
        assert (command, result.exit_code, complaints) == (command, 0, [])


def do_nothing(command, monkeypatch):
    """Let every verb check what it is given and then do nothing."""
    for below in getattr(command, "commands", {}).values():
        monkeypatch.setattr(below, "callback", lambda **_: None)
        do_nothing(below, monkeypatch)


def test_the_readme_shows_every_step_of_the_road():
    first_words = {command.split()[0] for command in commands(README)}
    assert first_words >= {"import", "train", "evaluate", "profile", "species", "get", "predict"}


def test_make_knows_every_target_that_a_page_names():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        for block in blocks(page.read_text(), "bash", "console"):
            assert set(re.findall(r"^make (\w+)", block, re.MULTILINE)) <= targets


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    build_world(tmp_path / "world")
    (tmp_path / "photos").mkdir()
    Image.fromarray(np.full((30, 40, 3), 90, np.uint8)).save(tmp_path / "photos" / "a.jpg")
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(README, "python")
    exec(compile(code, "README.md", "exec"), {})
    assert "Panthera leo recorded within 50 km" in capsys.readouterr().out
    assert (tmp_path / "serengeti.homerange").is_file()
    assert (tmp_path / "results.json").is_file()


def test_the_tutorial_shows_what_import_and_photos_print(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    synthetic.main(["planet"])
    shown = [block for block in blocks((DOCS / "tutorial.md").read_text(), "console")]
    chosen = [
        block for block in shown if block.startswith(("$ homerange import", "$ homerange photos"))
    ]
    assert len(chosen) == 2
    for block in chosen:
        command, _, output = block.partition("\n")
        result = CliRunner().invoke(main, shlex.split(command.removeprefix("$ homerange ")))
        assert result.stdout == output


# --- files and links --------------------------------------------------------------------------


def tree():
    """The files of the tree at the end of the README, as paths, with their phrases."""
    block = next(text for text in blocks(README, "text") if text.startswith("homerange/\n"))
    folders, found = {}, {}
    for line in block.splitlines():
        spaces, name, phrase = re.fullmatch(r"( *)(\S+)(?: +(.+))?", line).groups()
        depth = len(spaces) // 2
        path = "".join(folders[above] for above in range(depth)) + name
        if name.endswith("/"):
            folders[depth] = name
        if phrase:
            found[path] = phrase
    return found


def test_the_tree_of_the_readme_names_only_what_exists():
    assert [path for path in tree() if not (ROOT / path).exists()] == []


def test_the_tree_of_the_readme_names_every_file_of_the_package():
    start = [path for path in (PACKAGE / "model").glob("start/*")]
    recipes = (PACKAGE / "train/recipes").rglob("*.toml")
    files = [path for path in SOURCES if path.name != "__init__.py"]
    missing = {name_of(path) for path in (*files, *recipes, *start)} - set(tree())
    assert missing == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_that_a_page_names_exists(page):
    outside_code = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for word in words(outside_code):
        if re.fullmatch(r"[\w./-]+/[\w.-]+\.(py|toml|md|sh)|[\w/-]+/", word):
            places = (ROOT / word, PACKAGE / word, DOCS / word)
            users = word.startswith(("world/", "planet/", "quickstart/", "photos/", "checkpoint/"))
            assert users or any(place.exists() for place in places), word


def test_the_method_gives_a_file_or_says_not_yet_for_every_term():
    terms = list(rows((DOCS / "method.md").read_text(), columns=3))[2:]
    assert len(terms) > 20
    for term, _, where in terms:
        assert (where == "not yet") != bool(words(where)), term


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_inside_the_documents_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there.read_text()), target


def anchors(text):
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# --- the contracts ----------------------------------------------------------------------------


def test_the_page_of_the_manifest_lists_its_columns_in_order():
    page = (DOCS / "manifest.md").read_text()
    table = page.partition("## Columns")[2].partition("\n## ")[0]
    listed = [name for cells in rows(table, columns=3) for name in words(cells[0])]
    assert listed == schema().names


def test_the_page_of_the_manifest_lists_the_column_names_that_are_known():
    page = (DOCS / "manifest.md").read_text()
    table = page.partition("## Column names that are known")[2].partition("\n## ")[0]
    listed = {
        words(ours)[0]: theirs.lower().split(", ")
        for ours, theirs in rows(table, columns=2)
        if words(ours)
    }
    assert listed == {ours: names.split() for ours, names in table_importer._ALIASES.items()}


def test_the_page_of_the_world_has_every_file_key_and_column():
    page = (DOCS / "world.md").read_text()
    said = {name for cells in rows(page) for cell in cells for name in words(cell)}
    assert said >= {*WORLD_FILES, "world.json", "format", "version", "files"}
    assert set(words(page)) >= {field.name for field in dataclasses.fields(ExpertLayer)}
    assert said >= set(OPTIONAL_FILES)
    for part in (Description, Architecture, Graph, Provenance, Licence, Taxa, Occurrence):
        assert said >= {field.name for field in dataclasses.fields(part)}
    for part in (Profile, Evidence, Routing, Edges, Drops, Ranges):
        assert said >= {field.name for field in dataclasses.fields(part)}


def test_the_page_of_the_package_has_every_member_and_key(tmp_path):
    page = (DOCS / "place-package.md").read_text()
    said = set(words(page))
    made = specialize(build_world(tmp_path / "world"), SERENGETI, tmp_path / "here.homerange")
    place = read_package(made.path).place
    assert said >= {*MEMBERS, *place, *place["species"][0], *place["graph"], *place["parent"]}
    row = place["figures"]["rows"][0]
    assert said >= {*place["figures"], *row, *row["size"], *row["on_species"]}
    assert said >= set(place["figures"]["species"][0])


def test_the_page_of_the_results_has_every_column_of_the_table():
    page = (DOCS / "results.md").read_text()
    table = page.partition("## CSV")[2].partition("\n## ")[0]
    listed = [name for cells in rows(table, columns=2) for name in words(cells[0])]
    assert listed == list(COLUMNS)


# --- what else is promised --------------------------------------------------------------------


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_public_class_and_function_has_a_docstring(path):
    module = ast.parse(path.read_text())
    public = next((ast.literal_eval(node.value) for node in module.body if is_all(node)), ())
    for node in module.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name in public:
            assert ast.get_docstring(node), node.name
    if public:
        assert ast.get_docstring(module)


def is_all(node):
    return isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"


def test_the_readme_has_one_place_for_measured_numbers():
    start, end = "<!-- numbers:start -->", "<!-- numbers:end -->"
    assert (README.count(start), README.count(end)) == (1, 1)
    assert README.index(start) < README.index(end)


def test_the_arithmetic_of_the_readme_is_right():
    row = 256 + 1  # features and a bias
    text = " ".join(README.split())
    assert f"saves {(84 - 20) * row:,} parameters, 1.4 %" in text
    assert round(100 * (84 - 20) * row / (1_113_593 + 84 * row), 1) == 1.4
    assert f"saves {(5089 - 300) * row:,}, half of that network" in text
    assert round((5089 - 300) * row / (1_113_593 + 5089 * row), 1) == 0.5
    assert round(mean_edge_km(8)) == 36


def test_version_licence_and_citation_agree():
    version = homerange.__version__
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest[1] == version
    text = (ROOT / "LICENSE").read_bytes()  # the Apache License 2.0, whole and unchanged
    assert hashlib.sha256(text).hexdigest().startswith("cfc7749b96f63bd31c3c42b5c471bf75")
