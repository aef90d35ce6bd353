"""The command line: exit codes, errors in one line, help with examples, and a quick start."""

import json
import re
import shlex
import subprocess
import sys
import time
from types import SimpleNamespace

import click
import numpy as np
import pytest
from click.testing import CliRunner
from fakes import build_world
from PIL import Image

from homerange import __version__
from homerange.cli import main
from homerange.data.answers import Unreadable

OF_A_PLACE = {"at", "radius_km", "s2", "country", "geojson", "species", "include", "exclude"}
OF_RESULTS = {"model", "output", "format_", "bursts_s", "fps", "utc_offset", "deployments"}
OF_RESULTS |= {"workers"}
OF_SIZE = {"bits", "input_px", "max_kb", "max_ms", "min_accuracy", "budget", "device", "photos"}
OF_A_SERVER = {"host", "port", "base_url", "token", "builds", "queue_max"}
MOST_OPTIONS = 8
SERENGETI = ("--at", "-2.33,34.83")


def verbs(command=main, path=("homerange",)):
    """Yield the words and the command of every verb, those inside groups too."""
    for name, below in command.commands.items():
        if isinstance(below, click.Group):
            yield from verbs(below, (*path, name))
        else:
            yield " ".join((*path, name)), below


VERBS = dict(verbs())


def run(*arguments):
    return CliRunner().invoke(main, [str(part) for part in arguments])


def the_error(result):
    """The one line of an error of ours, without its first word."""
    assert "Traceback" not in result.output
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("Error: ")
    return lines[0].removeprefix("Error: ")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return build_world(tmp_path_factory.mktemp("cli") / "world")


@pytest.fixture(scope="module")
def package(world):
    path = world.parent / "serengeti.homerange"
    assert run("get", "--world", world, *SERENGETI, "-o", path).exit_code == 0
    return path


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(np.full((30, 40, 3), 120, np.uint8)).save(folder / name)
    return folder


# --- what every verb has --------------------------------------------------------------------


@pytest.mark.parametrize("words", VERBS)
def test_every_verb_says_what_it_does_and_shows_an_example(words):
    first, _, rest = VERBS[words].help.partition("\n")
    assert first.endswith((".", ","))
    assert re.search(rf"^ *{words} ", rest, re.MULTILINE)


@pytest.mark.parametrize("words", VERBS)
def test_the_examples_of_every_verb_are_commands_that_can_be_given(words, monkeypatch):
    for verb in VERBS.values():
        monkeypatch.setattr(verb, "callback", lambda **_: None)
    examples = re.findall(r"^ *homerange (.+)$", VERBS[words].help, re.MULTILINE)
    for example in examples:
        result = run(*shlex.split(example))
        assert (example, result.exit_code, result.output) == (example, 0, "")


@pytest.mark.parametrize("words", VERBS)
def test_no_verb_has_more_options_than_fit_in_a_head(words):
    """Those of one kind count apart: of a place, of results, of the size, of a server."""
    options = {one.name for one in VERBS[words].params if isinstance(one, click.Option)}
    for kind in (OF_A_PLACE, OF_RESULTS, OF_SIZE, OF_A_SERVER):
        assert len(options & kind) <= MOST_OPTIONS
        options -= kind
    assert len(options) <= MOST_OPTIONS


@pytest.mark.parametrize("words", VERBS)
def test_every_option_says_what_it_is_for(words):
    options = [one for one in VERBS[words].params if isinstance(one, click.Option)]
    silent = [
        one.name for one in options if not one.help and not isinstance(one.type, click.Choice)
    ]
    assert silent == []


def test_specialize_is_another_name_of_get():
    assert main.get_command(click.Context(main), "specialize") is main.commands["get"]
    assert run("specialize", "--help").exit_code == 0
    assert "specialize" not in run("--help").output  # one verb, not two


def test_the_version_is_told():
    assert __version__ in run("--version").output


def test_help_starts_in_under_half_a_second():
    times = []
    for _ in range(3):
        start = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "homerange.cli", "--help"], check=True, capture_output=True
        )
        times.append(time.monotonic() - start)
    assert min(times) < 0.5


# --- exit code 2: wrong use -----------------------------------------------------------------


@pytest.mark.parametrize("verb", ["species", "get"])
def test_a_place_must_be_named(verb, world, tmp_path):
    output = () if verb == "species" else ("-o", tmp_path / "x.homerange")
    result = run(verb, "--world", world, *output)
    assert result.exit_code == 2
    assert "name a place: --at LAT,LON, --s2 CELL, --country NAME, --geojson FILE" in result.stderr


@pytest.mark.parametrize(
    "place", [("--s2", "4c"), ("--country", "KEN"), ("--species", "names.txt"), ()]
)
def test_a_radius_without_its_centre_is_not_passed_over(place, world, tmp_path):
    commands = [("species", "--world", world), ("photos", "m.parquet", "-o", tmp_path / "l.csv")]
    for command in commands[: 1 if "--species" in place else 2]:
        result = run(*command, *place, "--radius-km", "100")  # the number that it has anyway
        assert result.exit_code == 2
        assert "--radius-km is the radius around --at LAT,LON; give both" in result.stderr


def test_an_unknown_option_and_a_missing_one_are_wrong_use(photos, package, tmp_path):
    assert run("predict", photos, "--model", package).exit_code == 2
    assert run("predict", photos, "--modle", package).exit_code == 2


def test_a_column_is_mapped_with_an_equals_sign(tmp_path):
    result = run("import", "table", "t.csv", "-o", tmp_path / "m.parquet", "--column", "species")
    assert result.exit_code == 2
    assert "--column species: expected OURS=THEIRS" in result.stderr


# --- exit code 1: nothing could be done, in one line -------------------------------------------


def test_swapped_coordinates_are_recognised(world):
    result = run("species", "--world", world, "--at", "151.2,-33.9")
    assert result.exit_code == 1
    assert "latitude 151.2 and longitude -33.9" in the_error(result)
    assert "They look swapped: write -33.9,151.2" in the_error(result)


def test_a_place_without_records_says_what_to_try(world):
    result = run("species", "--world", world, "--at", "-45,-120")
    assert result.exit_code == 1
    assert "no record counts for within 100 km of -45.0000, -120.0000" in the_error(result)
    assert "--radius-km" in the_error(result)


def test_a_missing_world_says_where_worlds_come_from(tmp_path):
    result = run("species", "--world", tmp_path / "nowhere", *SERENGETI)
    assert result.exit_code == 1
    assert "nowhere: is no world" in the_error(result)
    assert "homerange profile" in the_error(result)


def test_a_missing_package_says_where_packages_come_from(photos, tmp_path):
    result = run("predict", photos, "--model", tmp_path / "no.homerange", "-o", tmp_path / "r.json")
    assert result.exit_code == 1
    assert "no.homerange: cannot be opened" in the_error(result)
    assert "homerange get" in the_error(result)


def test_an_unknown_species_is_answered_with_near_ones(world):
    result = run("species", "--world", world, *SERENGETI, "--include", "Panthera loe")
    assert result.exit_code == 1
    assert "'Panthera loe' (did you mean Panthera leo?)" in the_error(result)


def test_a_missing_table_and_a_missing_manifest_are_named(tmp_path):
    result = run("import", "table", tmp_path / "no.csv", "-o", tmp_path / "m.parquet")
    assert result.exit_code == 1
    assert "no.csv: no such table" in the_error(result)
    result = run("photos", tmp_path / "no.parquet", "-o", tmp_path / "list.csv")
    assert result.exit_code == 1
    assert "no.parquet: no such manifest. Make one with: homerange import" in the_error(result)


@pytest.fixture
def inputs(tmp_path):
    """One of each input that an import can take; none of them needs to be a good one."""
    tables = ("t.csv", "src.parquet", "a.parquet", "b.parquet")
    jsons = ("a.json", "a_locations.json", "coco.json", "gps.json")
    for name in (*tables, "categories.csv", *jsons):
        (tmp_path / name).write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        "import table t.csv -o t.csv",
        "import table src.parquet -o ./src.parquet",
        "import coco coco.json -o coco.json",
        "import coco coco.json --gps gps.json -o gps.json",
        "import inaturalist a.json coco.json -o coco.json",
        "import inaturalist a.json --categories gps.json -o gps.json",
        "import inaturalist a.json -o a_locations.json",
        "import inat-geo t.csv --annotations coco.json -o t.csv",
        "import inat-geo t.csv --annotations coco.json -o coco.json",
        "import inat-geo t.csv --test gps.json --annotations coco.json -o gps.json",
        "import inat-geo t.csv --annotations a.json -o a_locations.json",
        "import wilds t.csv -o t.csv",
        "import wilds t.csv -o categories.csv",
        "import wilds t.csv --gps gps.json -o gps.json",
        "import wilds t.csv --categories gps.json -o gps.json",
        "import join a.parquet b.parquet -o b.parquet",
        "photos a.parquet -o a.parquet",
    ],
)
def test_an_input_is_never_overwritten(command, inputs, monkeypatch):
    monkeypatch.chdir(inputs)
    result = run(*shlex.split(command))
    assert result.exit_code == 1
    assert "is read too" in the_error(result)
    assert "would be lost. Choose another output" in the_error(result)
    assert {path.read_text() for path in inputs.iterdir()} == {"{}"}


def test_neither_is_an_input_that_has_the_name_of_the_report(photos, tmp_path):
    table = tmp_path / "m.refused.csv"
    table.write_text("path,species\na.png,Panthera leo\n")
    result = run("import", "table", table, "--photos", photos, "-o", tmp_path / "m.parquet")
    assert result.exit_code == 1
    assert f"{table}: is read too" in the_error(result)
    assert table.is_file()


@pytest.mark.parametrize(
    "command",
    [
        "import table t.csv -o folder",
        "import coco coco.json -o folder",
        "import inaturalist coco.json -o folder",
        "import inat-geo t.csv --annotations coco.json -o folder",
        "import wilds t.csv -o folder",
        "import join a.parquet b.parquet -o folder",
        "photos a.parquet -o folder",
        "get --world nowhere --at -2.33,34.83 -o folder",
    ],
)
def test_a_folder_as_output_is_refused_before_anything_is_read(command, inputs, monkeypatch):
    monkeypatch.chdir(inputs)
    (inputs / "folder").mkdir()
    result = run(*shlex.split(command))
    assert result.exit_code == 1
    assert the_error(result) == "folder: is a folder; expected the name of a file to write"


def test_a_folder_as_table_or_json_is_named(inputs, monkeypatch):
    monkeypatch.chdir(inputs)
    (inputs / "folder").mkdir()
    result = run("import", "table", "folder", "-o", "m.parquet")
    assert the_error(result) == "folder: is a folder; expected a CSV or Parquet file"
    result = run("import", "coco", "folder", "-o", "m.parquet")
    assert the_error(result) == "folder: cannot be read (Is a directory)"


def test_a_setting_that_does_not_exist_is_refused_before_anything_is_read(tmp_path):
    command = ("train", "dense", tmp_path / "no.parquet", "-o", tmp_path / "checkpoint")
    result = run(*command, "--set", "epoch=3")
    assert result.exit_code == 1
    assert "'epoch' is unknown; did you mean epochs?" in the_error(result)
    assert not (tmp_path / "checkpoint").exists()


def test_a_missing_checkpoint_is_named(tmp_path):
    result = run("evaluate", tmp_path, tmp_path / "no.parquet")
    assert result.exit_code == 1
    assert "not a checkpoint (no config.json)" in the_error(result)


def test_a_package_that_is_not_installed_is_named_with_the_command_that_installs_it(
    world, monkeypatch
):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    result = run("species", "--world", world, *SERENGETI)
    assert result.exit_code == 1
    assert "pip install '.[get]'" in the_error(result)


def test_a_run_that_is_stopped_says_how_to_go_on(photos, package, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("homerange.run.folder.predict", stop)
    result = run("predict", photos, "--model", package, "-o", tmp_path / "results.json")
    assert result.exit_code == 1
    assert the_error(result) == "stopped; the same command goes on from here"


@pytest.mark.parametrize(
    ("saved", "way"),
    [
        (["training_state.pt"], "go on with the same command and --resume"),
        ([], "nothing is saved yet"),
    ],
)
def test_a_training_that_is_stopped_promises_only_what_is_saved(saved, way, tmp_path, monkeypatch):
    def stop(*_, **__):
        for name in saved:
            (tmp_path / name).touch()
        raise KeyboardInterrupt

    monkeypatch.setattr("homerange.train.dense.train_dense", stop)
    result = run("train", "dense", "m.parquet", "-o", tmp_path)
    assert result.exit_code == 1
    assert the_error(result) == f"stopped; {way}"


def test_a_mistake_of_ours_is_not_hidden(world, monkeypatch):
    def break_(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("homerange.specialize.species.species_at", break_)
    assert isinstance(run("species", "--world", world, *SERENGETI).exception, ZeroDivisionError)


# --- exit codes 0 and 3: done, and done with some inputs refused ---------------------------------


def test_species_and_get_show_the_same_species(world, package):
    listed = run("species", "--world", world, *SERENGETI)
    assert listed.exit_code == 0
    assert "recorded within 50 km" in listed.stdout
    shown = {name for name in ("Panthera leo", "Procyon lotor") if name in listed.stdout}
    again = run("get", "--world", world, *SERENGETI, "-o", package)
    assert again.exit_code == 0
    assert "dense world, masked to the list" in again.stdout
    assert shown == {"Panthera leo"}


MARA = {"type": "Polygon", "coordinates": [[[34, -3], [36, -3], [36, -1.2], [34, -1.2]]]}


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (("--country", "Tanzania"), "3 species: Tanzania (TZA)"),
        (("--geojson", "mara.geojson"), "3 species: the polygon mara.geojson"),
        ((*SERENGETI, "--s2", "4c"), "3 species: within 100 km of -2.3300, 34.8300 and S2 cell"),
        (("--country", "TZA", *SERENGETI, "--at", "41.88,-87.63"), "6 species: within 100 km of"),
        ((*SERENGETI, "--at", "0,0", "--radius-km", "90", "--radius-km", "7"), "within 90 km of"),
        (("--country", "TZA", "--species", "bear.txt"), "4 species: Tanzania (TZA) and a list of"),
    ],
)
def test_places_of_every_kind_can_be_named_and_taken_together(
    place, told, world, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mara.geojson").write_text(json.dumps(MARA))
    (tmp_path / "bear.txt").write_text("Ursus maritimus")
    result = run("species", "--world", world, *place)
    assert (result.exit_code, told in result.stdout) == (0, True)
    assert "Acinonyx jubatus" in result.stdout


def test_an_unknown_country_is_answered_with_near_names(world):
    result = run("species", "--world", world, "--country", "Tansania")
    assert result.exit_code == 1
    assert "did you mean Tanzania (TZA)" in the_error(result)


def test_species_shows_strength_and_months_and_warns_of_few_records(world):
    result = run("species", "--world", world, *SERENGETI)
    assert re.search(
        r"Panthera leo +│ lion +│ 2 +│ [1-5.]{12} │ recorded within 50 km", result.stdout
    )
    assert "5 = 101 or more" in result.stdout
    assert result.stderr.startswith("warning: few records: 3 species with at least ")


def test_species_writes_its_list_as_a_file_or_on_stdout(world, tmp_path):
    path = tmp_path / "list.csv"
    written = run("species", "--world", world, *SERENGETI, "-o", path)
    assert written.stdout == f"3 species: {path}\n"
    printed = run("species", "--world", world, *SERENGETI, "--format", "csv")
    assert printed.stdout == path.read_text()
    assert printed.stderr.startswith("warning: few records")
    as_json = run("species", "--world", world, *SERENGETI, "--format", "json")
    assert len(json.loads(as_json.stdout)["species"]) == 3


def test_a_name_from_a_file_is_no_markup(world, tmp_path):
    block = {"type": "Feature", "properties": {"name": "[/red] A"}, "geometry": MARA}
    path = tmp_path / "a.geojson"
    path.write_text(
        json.dumps({"type": "FeatureCollection", "features": [block, block | {"id": 1}]})
    )
    result = run("species", "--world", world, "--geojson", path, "--country", "TZA")
    assert result.exit_code == 0
    assert "[/red] A" in result.stdout


def test_an_import_with_a_broken_row_is_done_and_lists_the_row(photos, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text(
        "path,species,licence\na.png,Panthera leo,CC0\nb.png,blank,CC0\nlost.png,Panthera leo,CC0\n"
    )
    manifest = tmp_path / "manifest.parquet"
    result = run("import", "table", table, "--photos", photos, "-o", manifest)
    assert result.exit_code == 3
    assert manifest.is_file()
    assert "2 observations in 2 photos" in result.stdout
    report = tmp_path / "manifest.refused.csv"
    assert f"1 rows refused; reasons in {report}" in result.stderr
    header, *rows = report.read_text().splitlines()
    assert header == "row,image,reason"
    assert rows == [f"3,lost.png,photo not found in {photos}"]


def test_an_import_without_a_broken_row_is_done_and_writes_no_report(photos, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("path,species\na.png,Panthera leo\nb.png,Panthera leo\n")
    result = run("import", "table", table, "--photos", photos, "-o", tmp_path / "m.parquet")
    assert result.exit_code == 0
    assert not (tmp_path / "m.refused.csv").exists()


def test_an_import_without_a_broken_row_removes_the_report_of_an_earlier_one(photos, tmp_path):
    table, report = tmp_path / "table.csv", tmp_path / "m.refused.csv"
    command = ("import", "table", table, "--photos", photos, "-o", tmp_path / "m.parquet")
    table.write_text("path,species\na.png,Panthera leo\nlost.png,Panthera leo\n")
    assert run(*command).exit_code == 3
    assert report.is_file()
    table.write_text("path,species\na.png,Panthera leo\n")
    assert run(*command).exit_code == 0
    assert not report.exists()


VERBS_THAT_READ_PHOTOS = {
    "refused-train.csv": "train dense m.parquet -o {}",
    "refused-evaluate-test.csv": "evaluate {} m.parquet",
    "refused-evaluate-val.csv": "evaluate {} m.parquet --split val",
    "refused-profile.csv": "profile ck m.parquet -o {}",
}


def finds_unreadable(monkeypatch, *names):
    """Let the verbs that read photos do nothing but meet photos that cannot be read."""
    unreadable = [Unreadable(i, name, "0 bytes") for i, name in enumerate(names)]
    facts = {"unreadable": unreadable, "photos": 9, "classes": ("Panthera leo", "blank")}

    def trained(_, folder=None, *__, first_process=True, **___):
        return SimpleNamespace(**facts, folder=folder, first_process=first_process)

    published = SimpleNamespace(unreadable=unreadable, photos=9, classes=2)
    monkeypatch.setattr("homerange.show.print_evaluation", lambda _: None)
    monkeypatch.setattr("homerange.train.dense.train_dense", trained)
    monkeypatch.setattr("homerange.train.evaluate.evaluate", trained)
    monkeypatch.setattr("homerange.profile.publish.publish", lambda *_, **__: published)


def test_each_verb_lists_its_unreadable_photos_by_path_in_a_file_of_its_own(tmp_path, monkeypatch):
    finds_unreadable(monkeypatch, "a.jpg", "Zoé.jpg", "a.jpg")  # a.jpg stands in two rows
    for report, command in VERBS_THAT_READ_PHOTOS.items():
        result = run(*command.format(tmp_path).split())
        assert result.exit_code == 3
        assert f"2 photos could not be read; reasons in {tmp_path / report}" in result.stderr
        text = (tmp_path / report).read_text(encoding="utf-8")
        assert text.splitlines() == ["image,reason", "a.jpg,0 bytes", "Zoé.jpg,0 bytes"]
    assert {path.name for path in tmp_path.iterdir()} == set(VERBS_THAT_READ_PHOTOS)


def test_of_several_processes_only_the_first_speaks(tmp_path, monkeypatch):
    others = SimpleNamespace(unreadable=[Unreadable(0, "a.jpg", "0 bytes")], first_process=False)
    monkeypatch.setattr("homerange.train.dense.train_dense", lambda *_, **__: others)
    result = run("train", "dense", "m.parquet", "-o", tmp_path)
    assert (result.exit_code, result.output, list(tmp_path.iterdir())) == (0, "", [])


@pytest.mark.parametrize("report", VERBS_THAT_READ_PHOTOS)
def test_a_verb_that_read_every_photo_removes_its_old_report_only(report, tmp_path, monkeypatch):
    for name in VERBS_THAT_READ_PHOTOS:
        (tmp_path / name).touch()
    finds_unreadable(monkeypatch)
    assert run(*VERBS_THAT_READ_PHOTOS[report].format(tmp_path).split()).exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == set(VERBS_THAT_READ_PHOTOS) - {report}


def test_predict_is_done_with_all_photos_with_some_or_with_none(photos, package, tmp_path):
    command = ("predict", photos, "--model", package, "-o", tmp_path / "results.json")
    assert run(*command).exit_code == 0
    (photos / "c.png").write_bytes(b"")
    some = run(*command)
    assert some.exit_code == 3
    assert "3 photos, 2 of them answered earlier, 1 could not be read" in some.stdout
    images = json.loads((tmp_path / "results.json").read_text())["images"]
    assert "0 bytes" in images[2]["failure"]
    for name in ("a.png", "b.png"):
        (photos / name).write_bytes(b"no photo")
    assert run(*command).exit_code == 1
