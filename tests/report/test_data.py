"""What a manifest holds, drawn: locations, photos of each class, and the files of the verb."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from tiny_ranges import occurrence_table, tiny_range_config
from tiny_training import CLASSES, manifest_of

from homerange.cli import main
from homerange.errors import ManifestError
from homerange.geo.cells import parse_cell
from homerange.geo.land import land_points
from homerange.model.range import load_range
from homerange.profile.export_range import export_range, load_publishable
from homerange.report.frequency import draw_frequency, frequency_table
from homerange.report.locations import locations_of
from homerange.report.map import map_table
from homerange.train.range import train_range
from homerange.world.range_model import RangeModel

PAGE = Path(__file__).parents[2] / "docs/figures.md"
NAIROBI, BOSTON, SERENGETI = (-1.29, 36.8), (42.36, -71.06), (-2.33, 34.83)


def photo(species, split, place=None, region=None):
    latitude_deg, longitude_deg = place or (None, None)
    where = {"latitude_deg": latitude_deg, "longitude_deg": longitude_deg, "region_id": region}
    return {"species": species, "split": split} | where


PHOTOS = [
    photo("Panthera leo", "train", NAIROBI),
    photo("Panthera leo", "train", SERENGETI, "serengeti"),
    photo("Panthera leo", "val", NAIROBI),
    photo("Panthera leo", "test", BOSTON),  # of a zoo: the species counts, not the place
    photo("Equus quagga", "train", NAIROBI),
    photo("Equus quagga", "test", None),
    photo("Procyon lotor", "train", BOSTON, "boston"),
    photo("Procyon lotor", "test", NAIROBI),
    photo(None, "train", NAIROBI, "boston"),
    photo("blank", "train", BOSTON, "boston"),
    photo("Ursus maritimus", "test", BOSTON),  # learnt nowhere
]


@pytest.fixture
def photos(tmp_path):
    return manifest_of(PHOTOS, tmp_path)


def counts(location):
    return [location.photos(split) for split in ("train", "val", "test")]


def test_cells_have_the_photos_inside_and_the_test_photos_of_their_species(photos):
    africa, americas = locations_of(photos, "0/,4/")
    # In 0/: lions 2 train and 1 val, zebra 1 train; test photos of these: 1 lion, 1 zebra.
    assert counts(africa) == [3, 1, 2]
    assert africa.species == {"Panthera leo", "Equus quagga"}
    # In 4/: raccoon and blank; the test raccoon was taken elsewhere.
    assert counts(americas) == [2, 0, 1]
    assert americas.species == {"Procyon lotor", "blank"}
    assert (africa.title, americas.title) == ("L1 0/", "L2 4/")
    assert (africa.cell, americas.cell) == (parse_cell("0/"), parse_cell("4/"))


def test_regions_go_before_cells_and_unlabelled_photos_do_not_count(tmp_path):
    unlabelled = [photo(None, "train", NAIROBI, "nobody looked")] * 3
    boston, serengeti = locations_of(manifest_of([*PHOTOS, *unlabelled], tmp_path), "regions")
    assert (boston.name, counts(boston)) == ("boston", [2, 0, 1])
    assert (serengeti.name, counts(serengeti)) == ("serengeti", [1, 0, 1])
    assert boston.cell is None
    assert boston.inside_N.sum() == 3  # the unlabelled photo lies there all the same


def test_the_papers_cells_are_asked_in_its_order(photos):
    found = locations_of(photos, "iNat-Geo-10K-6")
    assert [one.name for one in found] == ["2/1", "2/2", "2/0", "0/", "1/", "4/2"]
    assert [counts(one) for one in found] == [[0] * 3] * 3 + [[3, 1, 2]] + [[0] * 3] * 2


def test_a_cell_that_is_a_region_of_the_manifest_is_that_region(tmp_path):
    # An importer puts photos of crowded cells into finer ones: then 0/ holds only what it names.
    rows = [photo("a", "train", NAIROBI, "0/"), photo("a", "train", NAIROBI, "0/3")]
    (found,) = locations_of(manifest_of(rows, tmp_path), "0/")
    assert found.inside_N.tolist() == [True, False]


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ("mars", "'mars' is no place: expected a set (iNat-Geo-10K-6, iWildcam-6), regions, an S2"),
        ("9/1", "or a region of the manifest (boston, serengeti)"),
        ("", "'' is no place"),
    ],
)
def test_a_place_that_is_none_is_refused_with_those_that_are(photos, places, message):
    with pytest.raises(ManifestError) as caught:
        locations_of(photos, places)
    assert message in str(caught.value)


def test_without_regions_the_largest_ones_cannot_be_asked_for(tmp_path):
    with pytest.raises(ManifestError, match="no labelled training photo has a region"):
        locations_of(manifest_of([photo("a", "train", BOSTON)], tmp_path), "regions")


def test_the_map_says_where_locations_are(photos):
    table = map_table(photos, locations_of(photos, "0/,boston"))
    # The middle of face 0 is on the equator, where the zero meridian crosses it; Boston's photos
    # are at 42.36, -71.06 twice and once, unlabelled, at Nairobi, so far from a whole degree.
    assert (table["latitude_deg"][0], table["longitude_deg"][0]) == (0, 0)
    assert table["s2_token"] == ["1", None]
    assert table["land_share"][0] == pytest.approx(0.23, abs=0.01)  # Africa and southern Europe
    assert table["land_share"][1] is None
    assert (table["train"], table["val"], table["test"]) == ([3, 2], [1, 0], [2, 1])
    assert table["classes"] == [2, 2]
    only = map_table(photos, locations_of(photos, "serengeti"))
    assert (only["latitude_deg"], only["longitude_deg"]) == ([-2], [35])


def test_classes_are_counted_by_split_the_most_frequent_first(photos):
    assert frequency_table(photos) == {
        "rank": [1, 2, 3, 4, 5],
        # Lions 2; zebra and raccoon 1 of 2 each; blank 1 of 1; bears none.
        "class": ["Panthera leo", "Equus quagga", "Procyon lotor", "blank", "Ursus maritimus"],
        "train": [2, 1, 1, 1, 0],
        "val": [1, 0, 0, 0, 0],
        "test": [1, 1, 1, 0, 1],
    }
    figure = draw_frequency(frequency_table(photos))
    assert figure.texts[1].get_text() == (
        "5 classes with 1 to 2 training photos each, median 1; 5 classes have fewer than 10"
    )
    (axes,) = figure.axes
    assert axes.get_yscale() == "log"
    drawn = {marks.get_label(): marks.get_offsets().data.tolist() for marks in axes.collections}
    assert drawn["train: 5 photos of 4 classes"] == [[1, 2], [2, 1], [3, 1], [4, 1]]
    assert drawn["val: 1 photos of 1 classes"] == [[1, 1]]


def test_photos_without_labels_have_no_classes(tmp_path):
    with pytest.raises(ManifestError, match="no photo of the manifest is labelled"):
        frequency_table(manifest_of([photo(None, "train")], tmp_path))


def run(path, output, *arguments):
    given = ["report", "data", path, "-o", output, *arguments]
    return CliRunner().invoke(main, [str(part) for part in given])


def test_the_verb_draws_three_figures_with_their_numbers(photos, tmp_path):
    path, out = tmp_path / "m.parquet", tmp_path / "new" / "out"
    photos.write(path)
    result = run(path, out, "--places", "0/,boston", "--level", "3")
    assert result.exit_code == 0, result.output
    names = ("map", "classes", "spread")
    assert result.stdout.split() == [str(out / f"{name}.png") for name in names]
    for name in names:
        with Image.open(out / f"{name}.png") as picture:
            assert picture.width == 2400
            assert len(np.unique(np.asarray(picture.convert("L")))) > 50
    with (out / "spread.csv").open(newline="") as file:
        spread = {row["species"]: float(row["land_share"]) for row in csv.DictReader(file)}
    # Outcomes cover nothing, nor do photos without coordinates; lions were seen in two places.
    assert spread.keys() == {"Panthera leo", "Equus quagga", "Procyon lotor", "Ursus maritimus"}
    assert spread["Panthera leo"] == pytest.approx(
        spread["Equus quagga"] + spread["Ursus maritimus"]
    )


def test_a_manifest_is_drawn_without_torch(photos, tmp_path):
    photos.write(tmp_path / "m.parquet")
    given = ["report", "data", str(tmp_path / "m.parquet"), "-o", str(tmp_path / "out")]
    code = f"""
import json, sys
from homerange.cli import main
main({given!r}, standalone_mode=False)
print(json.dumps(sorted(sys.modules)))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(json.loads(found.stdout.splitlines()[-1]))
    assert modules.isdisjoint({"torch", "matplotlib.pyplot"})


def test_an_output_that_is_a_file_is_refused(photos, tmp_path):
    photos.write(tmp_path / "m.parquet")
    (tmp_path / "out").write_text("mine")
    result = run(tmp_path / "m.parquet", tmp_path / "out")
    assert result.exit_code == 1
    assert f"{tmp_path / 'out'}: cannot be written" in result.stderr


def test_a_range_model_is_asked_where_its_score_reaches_its_threshold(photos, tmp_path):
    photos.write(tmp_path / "m.parquet")
    ranges = train_range(
        occurrence_table(tmp_path / "records.csv"), tmp_path / "ranges", tiny_range_config()
    ).folder
    (tmp_path / "world").mkdir()
    export_range(load_publishable(ranges, CLASSES), tmp_path / "world")
    result = run(tmp_path / "m.parquet", tmp_path / "out", "--world", tmp_path / "world")
    assert result.exit_code == 0, result.output
    # In torch, place by place.
    network, facts = load_range(ranges)
    latlon_P2, share_P = land_points(1.0)
    with torch.no_grad():
        features_PF = torch.from_numpy(facts.encoder.space2vec.encode(latlon_P2))
        score_PS = network(features_PF).sigmoid().numpy()
    threshold = RangeModel.open(tmp_path / "world").threshold
    assert 0 < threshold < 1
    with (tmp_path / "out" / "spread.csv").open(newline="") as file:
        found = {row["species"]: float(row["land_share"]) for row in csv.DictReader(file)}
    for s, name in enumerate(facts.species):
        expected = share_P[score_PS[:, s] >= threshold].sum()
        assert found[name] == pytest.approx(expected, abs=2e-3)
    assert len(set(found.values())) == 3


def test_a_world_without_a_range_model_says_how_to_get_one(photos, tmp_path):
    photos.write(tmp_path / "m.parquet")
    result = run(tmp_path / "m.parquet", tmp_path / "out", "--world", tmp_path)
    assert result.exit_code == 1
    assert "has no range.onnx. Publish it again with: homerange profile --range" in result.stderr


def test_the_python_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    exec(compile(code, "figures.md", "exec"), {})
    with (tmp_path / "spread.csv").open(newline="") as file:
        share = {row["species"]: float(row["land_share"]) for row in csv.DictReader(file)}
    assert sum(share.values()) == pytest.approx(1)  # the north has what the south has not
    assert share["Ursus maritimus"] > 0.6
