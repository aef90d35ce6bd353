"""The figure of a package's levers: its numbers are those of the package, and it needs no world."""

import csv

import pytest
from click.testing import CliRunner
from fakes import SERENGETI, build_world

from homerange.cli import main
from homerange.errors import PackageError
from homerange.report.lever_curve import draw_levers
from homerange.specialize.smaller import Smaller
from homerange.specialize.specialize import specialize
from homerange.world.place_package import MEMBERS, read_package, write_package


@pytest.fixture
def made(tmp_path):
    world = build_world(tmp_path / "planet", input_px=64, features=64, test_photos=40)
    path = tmp_path / "x.homerange"
    return specialize(world, SERENGETI, path, smaller=Smaller(knee=True))


def test_the_figure_and_its_numbers_are_those_of_the_package(made, tmp_path):
    result = CliRunner().invoke(
        main, ["report", "levers", str(made.path), "-o", str(tmp_path / "figures")]
    )
    assert result.output == f"{tmp_path / 'figures' / 'levers.png'}\n"
    assert (tmp_path / "figures" / "levers.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader((tmp_path / "figures" / "levers.csv").read_text().splitlines()))
    assert [row["model"] for row in rows] == ["control", *["one lever"] * 5, "this package"]
    models = [made.levers.control, *made.levers.alone, made.levers.chosen]
    for row, one in zip(rows, models, strict=True):
        assert int(row["bytes"]) == one.size.bytes
        assert int(row["macs"]) == one.size.macs
        assert (int(row["bits"]), int(row["input_px"])) == (one.levers.bits, one.levers.input_px)
        assert float(row["accuracy"]) == one.accuracy
        assert row["known"] == one.known


def test_a_package_without_levers_says_how_to_have_some(tmp_path):
    world = build_world(tmp_path / "planet")
    made = specialize(world, SERENGETI, tmp_path / "x.homerange")
    with pytest.raises(PackageError, match=r"made without levers, .* homerange get --budget knee"):
        draw_levers(made.path, tmp_path)


def test_levers_that_say_too_little_are_refused(made, tmp_path):
    package = read_package(made.path)
    place = {key: value for key, value in package.place.items() if key != "files"}
    members = {
        "model.onnx": package.model,
        "labels.txt": "".join(f"{label}\n" for label in package.labels).encode(),
        "MODEL_CARD.md": b"",
        "manifest.toml": b"",
    }
    assert {*members, "place.json"} == set(MEMBERS)
    write_package(made.path, place=place | {"levers": {"control": {}}}, members=members)
    with pytest.raises(PackageError, match=r"levers that cannot be read \(KeyError\('levers'\)\)"):
        draw_levers(made.path, tmp_path)
