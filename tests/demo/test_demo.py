"""A model for every country, proven to be a part of the world, and one page to look at."""

import re

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from fakes import build_world
from onnx import numpy_helper
from PIL import Image

from homerange.cli import main
from homerange.demo.proof import TOLERANCE, Proof, draw_pictures
from homerange.demo.show import show
from homerange.demo.tour import tour
from homerange.geo.countries import find_country
from homerange.specialize.cut import cut_world
from homerange.world.place_package import read_package
from homerange.world.world import open_world

TANZANIA, USA, FIJI, NAURU = map(find_country, ("TZA", "USA", "FJI", "NRU"))


@pytest.fixture
def world(tmp_path):
    return build_world(tmp_path / "planet")


def test_a_cut_model_gives_the_numbers_of_its_world(world):
    opened = open_world(world)
    classes = np.array([0, 2, 3])
    proof = Proof.of(opened)
    assert proof.difference(cut_world(opened, classes), classes) <= TOLERANCE


def test_a_model_with_a_weight_changed_is_found_out(world):
    opened = open_world(world)
    classes = np.array([0, 2, 3])
    model = onnx.load_from_string(cut_world(opened, classes))
    bias = next(one for one in model.graph.initializer if list(one.dims) == [len(classes)])
    changed = numpy_helper.to_array(bias) + np.array([0, 0.01, 0], np.float32)
    bias.CopyFrom(numpy_helper.from_array(changed, bias.name))
    difference = Proof.of(opened).difference(model.SerializeToString(), classes)
    assert difference == pytest.approx(0.01, rel=0.01)


def test_the_pictures_are_always_the_same_and_not_all_alike():
    picture_BHW3 = draw_pictures(16)
    assert picture_BHW3.shape == (3, 16, 16, 3)
    assert np.array_equal(picture_BHW3, draw_pictures(16))
    assert not np.array_equal(picture_BHW3[0], picture_BHW3[1])


def test_every_country_gets_its_own_model_or_is_said_to_have_no_records(world, tmp_path):
    found = tour(open_world(world), [TANZANIA, USA, NAURU], tmp_path / "packages")
    assert [one.made for one in found.models] == [True, True, False]
    assert all(one.equal for one in found.models if one.made)
    assert found.describe().startswith("3 countries, 2 packages, 2 proven equal to the world, ")
    assert not (tmp_path / "packages").exists()


def test_packages_are_kept_on_request_and_can_be_run(world, tmp_path):
    tour(open_world(world), [TANZANIA, NAURU], tmp_path / "packages", keep=True)
    (path,) = (tmp_path / "packages").iterdir()
    assert path.name == "TZA.homerange"
    assert "Panthera leo" in read_package(path).labels


def test_the_page_holds_everything_and_asks_for_nothing(world, tmp_path):
    photo = tmp_path / "photo.jpg"
    Image.new("RGB", (40, 30), "green").save(photo, exif=Image.Exif())
    shown = show(
        world, tmp_path / "demo", compare=(TANZANIA, USA), photos=photo, countries=[TANZANIA, NAURU]
    )
    page = shown.page.read_text()
    assert f"Tanzania and {USA.name}: who lives there" in page
    assert "Only in Tanzania" in page
    assert "No records in this world: Nauru." in page
    assert "data:image/jpeg;base64," in page
    assert not re.findall(r"(?:src|href)=[\"'](?!data:)", page)
    assert {path.name for path in shown.page.parent.iterdir()} == {
        "demo.html",
        "TZA.homerange",
        "USA.homerange",
    }


def test_the_verb_ends_with_countries_packages_seconds_and_megabytes(world, tmp_path, monkeypatch):
    monkeypatch.setattr("homerange.demo.show.all_countries", lambda: (TANZANIA, FIJI))
    command = ["demo", "--world", str(world), "-o", str(tmp_path), "--compare", "TZA", "USA"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    last = result.stdout.splitlines()[-1]
    assert re.fullmatch(
        r"2 countries, 2 packages, 2 proven equal to the world, \d+ s, [\d,]+ MB", last
    )


def test_a_country_without_records_cannot_be_put_beside_another(world, tmp_path):
    command = ["demo", "--world", str(world), "-o", str(tmp_path), "--compare", "TZA", "NRU"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    assert "no record counts for Nauru (NRU)" in result.stderr
