"""The tables for own photos: counted by hand, answered one by one, and the paper's numbers."""

import csv
import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from tiny_training import CLASSES, KINDS, manifest_of, tiny_manifest
from tiny_world import expert_checkpoint

from homerange.cli import main
from homerange.data.manifest import Manifest
from homerange.errors import ConfigError
from homerange.report.paper import TABLE_1, TABLE_2, TABLE_3
from homerange.report.tables import named_checkpoints, write_tables
from homerange.train.dataset import PlainPhotos

PAPER = Path(__file__).parents[3] / "shared/docs/paper.txt"
ALL = tuple(range(len(CLASSES)))
AFRICA = ("Panthera leo", "Equus quagga", "blank")
"""Kinds whose drawn photos lie in face 0; raccoons lie in Chicago, in face 4."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Tables of a network with random weights, for photos of 32 pixels; one cannot be read."""
    folder = tmp_path_factory.mktemp("made")
    manifest = tiny_manifest(folder, train=8, val=4, test=14, location_id="camera 1")
    table = Manifest.read(manifest).table.to_pylist()
    for i, row in enumerate(table):
        new = row["split"] == "val" or (row["split"] == "test" and i % 3 == 0)
        row["location_id"] = "camera 2" if new else "camera 1"
    write(table, manifest)
    (folder / "photos" / "12.jpg").write_bytes(b"")  # the first test photo, of a lion
    config, network = expert_checkpoint(folder / "ex", layers=(1, 3), experts=4)
    out = folder / "out"
    result = run(manifest, out, "--places", "0/,4/", "--checkpoint", f"moe={folder / 'ex'}")
    return SimpleNamespace(
        manifest=manifest, out=out, result=result, config=config, network=network,
        checkpoint=folder / "ex",
    )  # fmt: skip


def write(rows, path):
    manifest_of(rows, path.parent / "photos").write(path)


def run(manifest, output, *arguments):
    given = ["report", "tables", manifest, "-o", output, *arguments]
    return CliRunner().invoke(main, [str(part) for part in given])


def read(folder, name):
    with (folder / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def answers(made, kinds, *, listed=ALL, camera=None):
    """Count right answers for readable test photos of some kinds, photo by photo."""
    photos = Manifest.read(made.manifest)
    plain = PlainPhotos(photos, CLASSES, made.config.preprocessing)
    columns = (photos.strings(name) for name in ("species", "split", "location_id"))
    right = total = 0
    for i, (name, split, at) in enumerate(zip(*columns, strict=True)):
        if split != "test" or name not in kinds or i == 12 or camera not in (None, at):
            continue
        with torch.no_grad():
            logits_C = made.network(plain.pixels(i)[None].float() / 255)[0]
        best = max(listed, key=lambda c: float(logits_C[c]))
        right, total = right + (CLASSES[best] == name), total + 1
    return right, total


def test_each_table_is_a_page_and_a_file_of_numbers(made):
    names = ("table1", "table2", "table3", "sizes")
    assert made.result.stdout.split() == [str(made.out / f"{name}.md") for name in names]
    assert {path.name for path in made.out.iterdir()} == {
        f"{name}.{kind}" for name in names for kind in ("md", "csv")
    }
    page = (made.out / "table1.md").read_text()
    assert "| L1 | 0/ | 6 | 3 | 11 | 3 |  |  |  |" in page.splitlines()


def test_a_photo_that_cannot_be_read_is_told(made):
    assert made.result.exit_code == 3
    assert "note: 1 test photos could not be read and are left out" in made.result.stderr


def test_photos_of_locations_are_counted(made):
    # 26 photos in turn lion, zebra, raccoon, blank: train 0-7, val 8-11, test 12-25. In Africa
    # 6 of 8 and 3 of 4. Test photos of its three kinds: 12 to 25 without raccoons 14, 18, 22.
    rows = read(made.out, "table1")
    assert [[row[s] for s in ("train", "val", "test", "classes")] for row in rows] == [
        ["6", "3", "11", "3"], ["2", "1", "3", "1"],
    ]  # fmt: skip
    assert all(row["paper_train"] == "" for row in rows)  # these are not the paper's places


@pytest.mark.parametrize(("at", "kinds"), [(0, AFRICA), (1, ("Procyon lotor",))])
def test_accuracy_at_a_location_is_that_of_the_network(made, at, kinds):
    row = read(made.out, "table3")[at]
    right, total = answers(made, kinds)
    assert int(row["all_classes_n"]) == total == (10, 3)[at]
    assert float(row["all_classes_percent"]) == pytest.approx(100 * right / total, abs=0.01)
    listed = [CLASSES.index(name) for name in kinds]
    right, total = answers(made, kinds, listed=listed)
    assert float(row["listed_percent"]) == pytest.approx(100 * right / total, abs=0.01)
    # Wilson's interval, as statsmodels and textbooks give it.
    share, z = right / total, 1.959963984540054
    half = z * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    low = (share + z**2 / (2 * total) - half) / (1 + z**2 / total)
    assert float(row["listed_low"]) == pytest.approx(100 * max(0, low), abs=0.01)


def test_all_photos_and_those_of_known_and_new_cameras_are_measured_apart(made):
    row = read(made.out, "table2")[0]
    for name, camera in (("all", None), ("known_cameras", "camera 1"), ("new_cameras", "camera 2")):
        right, total = answers(made, KINDS, camera=camera)
        assert int(row[f"{name}_n"]) == total
        assert float(row[f"{name}_percent"]) == pytest.approx(100 * right / total, abs=0.01)
    assert int(row["known_cameras_n"]) + int(row["new_cameras_n"]) == int(row["all_n"]) == 13


def test_rows_of_the_paper_that_no_checkpoint_stands_for_follow(made):
    rows = read(made.out, "table2")[1:]
    assert [row["paper_model"] for row in rows] == [row.model for row in TABLE_2.values()]
    assert {row["all_n"] for row in rows} == {""}


def test_a_checkpoint_named_as_a_row_of_the_paper_stands_beside_it(made, tmp_path):
    checkpoints = {"moe": made.checkpoint}
    write_tables(made.manifest, tmp_path, checkpoints=checkpoints)
    rows = read(tmp_path, "table3")
    ours = [row for row in rows if row["checkpoint"]]
    assert [row["paper_percent"] for row in ours] == [
        "53.14",
        "51.0",
        "61.46",
        "50.84",
        "57.5",
        "47.32",
    ]
    assert {row["paper_row_is_sure"] for row in ours} == {"good"}
    # Only in 0/ there are photos; elsewhere nothing is measured, and nothing is said.
    assert [row["all_classes_n"] for row in ours] == ["", "", "", "10", "", ""]
    assert len(rows) == 7 * 6  # each row of the paper once
    (size,) = [row for row in read(tmp_path, "sizes") if row["network"] == "moe"]
    assert (size["paper_FLOPs_M"], size["paper_parameters_M"]) == ("427", "2.79")


def test_clusters_of_cameras_stand_apart_from_the_papers_numbers(made, tmp_path):
    rows = Manifest.read(made.manifest).table.to_pylist()
    for row in rows:
        row["region_id"] = "Kenya" if row["species"] in AFRICA else "Laos"
    write(rows, made.manifest.with_name("wilds.parquet"))
    path = made.manifest.with_name("wilds.parquet")
    write_tables(path, tmp_path, checkpoints={"moe": made.checkpoint}, places="iWildcam-6")
    table = read(tmp_path, "table1")
    assert [(r["location"], r["name"]) for r in table[:2]] == [
        ("L1", "Kenya"), ("L2", "Guatemala and Belize"),
    ]  # fmt: skip
    assert [(r["location"], r["name"], r["paper_train"]) for r in table if r["paper_train"]] == [
        (f"L{i}", "", str(n)) for i, n in enumerate((27199, 5405, 6618, 598, 89, 6196), 1)
    ]
    assert not any(r["checkpoint"] and r["paper_percent"] for r in read(tmp_path, "table3"))


def test_sizes_of_the_papers_networks_are_those_that_were_worked_out_by_hand(made):
    # tests/model/test_counts.py and test_expert_counts.py have the arithmetic.
    rows = {row["network"]: row for row in read(made.out, "sizes")}
    dense = rows["paper's MobileViTV2-0.5, iNaturalist"]
    assert (dense["parameters_stored"], dense["parameters_active"]) == ("2947034", "2947034")
    assert (dense["MACs_M"], dense["as_paper_at_256_px_M"]) == ("363.52", "467.7")
    moe = rows["paper's MoE-MLP2, iWildCam"]
    assert float(moe["parameters_stored"]) / 1e6 == pytest.approx(1.132, abs=6e-4)
    assert float(moe["parameters_active"]) / 1e6 == pytest.approx(1.0106, abs=6e-4)
    assert round(float(moe["as_paper_at_256_px_M"])) == 426 == int(moe["paper_FLOPs_M"])
    assert float(moe["with_experts_at_256_px_M"]) == pytest.approx(428.1, abs=0.05)
    assert int(rows["moe"]["classes"]) == len(CLASSES)
    assert int(rows["moe"]["parameters_stored"]) == sum(
        p.numel() for p in made.network.parameters()
    )


def test_without_checkpoints_table_1_and_the_papers_sizes_are_written(made, tmp_path):
    result = run(made.manifest, tmp_path / "out")
    assert result.exit_code == 0
    assert {path.stem for path in (tmp_path / "out").iterdir()} == {"table1", "sizes"}
    table = read(tmp_path / "out", "table1")
    assert [row["paper_test"] for row in table] == list(map(str, TABLE_1["iNat-Geo-10K-6"]["test"]))


def test_two_checkpoints_of_one_name_are_refused():
    assert named_checkpoints(["a=x=1", "b/c"]) == {"a": Path("x=1"), "c": Path("b/c")}
    with pytest.raises(ConfigError, match="two checkpoints are named 'c'; give them different"):
        named_checkpoints(["b/c", "c=d"])


def test_a_manifest_without_test_photos_measures_nothing(made, tmp_path):
    manifest = tiny_manifest(tmp_path, train=4, val=0, test=0)
    result = run(manifest, tmp_path / "out", "--checkpoint", made.checkpoint)
    assert result.exit_code == 1
    assert "no labelled photo in split test; nothing to measure" in result.stderr


# The paper


def test_photos_of_the_paper_add_up():
    # A fifth of each cell is val, rounded up (docs/datasets.md).
    cells = TABLE_1["iNat-Geo-10K-6"]
    for train, val in zip(cells["train"], cells["val"], strict=True):
        assert val == math.ceil((train + val) / 5)


def test_our_reading_of_table_3_agrees_with_what_the_paper_says_of_it():
    # Section 4.4: location information improved the expert models on both data sets, iWildCam more.
    gain = {}
    for places, rows in TABLE_3.items():
        gain[places] = np.subtract(rows["moe-6-loc"].top1, rows["moe-6"].top1)
        assert (gain[places] >= 0).all()
        assert len({row.top1 for row in rows.values()}) == len(rows)  # no row twice
    assert gain["iWildcam-6"].min() > gain["iNat-Geo-10K-6"].max()
    # "Minimal drop" of the location aware experts on iWildCam.
    wild = TABLE_3["iWildcam-6"]
    drop = np.subtract(wild["dense-6"].top1, wild["moe-6-loc"].top1)
    assert drop.round(2).tolist() == [2.88, 1.65, 0.53, -0.36, 0.23, 2.67]


@pytest.mark.skipif(not PAPER.is_file(), reason="the text of the paper is not on this machine")
def test_every_number_stands_in_the_paper():
    printed = set(re.findall(r"\d+(?:\.\d+)?", PAPER.read_text()))
    numbers = [f"{x:.2f}" for rows in TABLE_3.values() for row in rows.values() for x in row.top1]
    numbers += [str(n) for rows in TABLE_1.values() for row in rows.values() for n in row]
    for row in TABLE_2.values():
        found = (row.inat2017, row.inat_geo_10k, row.iwildcam_id, row.iwildcam_ood)
        numbers += [f"{x:g}" if f"{x:g}" in printed else f"{x:.2f}" for x in found if x]
    assert [number for number in numbers if number not in printed] == []
