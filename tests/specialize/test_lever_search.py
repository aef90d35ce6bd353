"""Levers alone and together: what is exact, estimated or measured, and what is chosen.

The fake network has no weight that 4 bits are for, so 8 and 4 bits weigh the same.
"""

import csv
import json

import numpy as np
import pytest
from fakes import SERENGETI, build_world
from PIL import Image

from homerange.errors import ConfigError, ManifestError
from homerange.run.session import Session
from homerange.specialize.figures import Size
from homerange.specialize.lever_search import LeverFigures, choose_variant
from homerange.specialize.levers import Levers, Variant
from homerange.specialize.smaller import DeviceProfile, Smaller
from homerange.specialize.specialize import specialize
from homerange.world.place_package import read_package

DEVICE = DeviceProfile(device="a Pi", latency_ms=40.0, macs=1_000_000)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("levers") / "planet"
    return build_world(folder, input_px=64, features=64, test_photos=40)


def get(world, tmp_path, **wanted):
    return specialize(world, SERENGETI, tmp_path / "x.homerange", smaller=Smaller(**wanted))


def test_the_package_has_the_bits_and_the_side_that_were_asked_for(world, tmp_path):
    made = get(world, tmp_path, bits=8, input_px=48)
    package = read_package(made.path)
    assert package.preprocessing.input_px == 48
    assert package.place["levers"]["chosen"]["levers"] == {
        "bits": 8, "input_px": 48, "experts": "",
    }  # fmt: skip
    assert package.place["levers"]["chosen_by"] == "as asked for"
    assert len(package.model) == made.levers.chosen.size.bytes
    assert len(package.model) < 0.5 * made.levers.control.size.bytes
    photos = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 3)).astype(np.uint8)
    assert Session.open(package).probabilities(photos).shape == (2, len(package.labels))


def test_8_bits_answer_nearly_as_32_do(world, tmp_path):
    photos = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3)).astype(np.uint8)
    before, after = (
        Session.open(get(world, tmp_path, bits=bits).path).probabilities(photos) for bits in (32, 8)
    )
    assert 0 < np.abs(before - after).max() < 0.05


def test_without_photos_only_the_control_is_exact(world, tmp_path):
    made = get(world, tmp_path, knee=True)
    levers = made.levers
    assert levers.control.known == "exact"
    assert levers.control.accuracy == made.figures.rows[2].on_species.top1
    assert {one.known for one in levers.alone} == {"estimated"}
    by_levers = {(one.levers.bits, one.levers.input_px): one for one in levers.alone}
    assert list(by_levers) == [(16, 64), (8, 64), (4, 64), (32, 48), (32, 32)]  # 7/8 is 56, 3/4 48
    # 3/4 of the side: 0.70 of the accuracy; 8 bits: 0.995.
    assert by_levers[32, 48].accuracy == pytest.approx(levers.control.accuracy * 0.70)
    assert by_levers[8, 64].accuracy == pytest.approx(levers.control.accuracy * 0.995)


def test_the_card_has_each_lever_beside_the_control_and_says_what_is_estimated(world, tmp_path):
    made = get(world, tmp_path, bits=8)
    lines = [line for line in made.card.splitlines() if line.startswith("| ")]
    (control,) = [line for line in lines if line.startswith("| control: class rows cut |")]
    (package,) = [line for line in lines if line.startswith("| this package: 8 bits, 64 px | ")][1:]
    assert control.endswith("| - | exact (120 photos) |")
    assert package.endswith("| estimated |")
    assert "points" in package
    assert "by what the same lever cost another network (115 species" in made.card
    assert any(line.startswith("| class rows cut, no other lever |") for line in lines)


def test_a_limit_of_bytes_pulls_no_lever_further_than_it_asks(world, tmp_path):
    alone = {one.levers.bits: one for one in get(world, tmp_path, knee=True).levers.alone}
    limit = alone[16].size.bytes
    chosen = get(world, tmp_path, max_bytes=limit).levers.chosen
    assert chosen.levers == Levers(bits=16, input_px=64)
    less = get(world, tmp_path, max_bytes=limit - 1).levers.chosen
    assert less.levers == Levers(bits=8, input_px=64)
    assert less.size.bytes < limit


def test_a_smaller_photo_that_photos_like_better_by_luck_is_not_chosen_unless_asked_for():
    sizes = {(32, 64): 0.60, (8, 64): 0.60, (8, 48): 0.70, (4, 64): 0.61}
    variants = [
        Variant(
            levers=Levers(bits=bits, input_px=px),
            size=Size(bytes=1000 * bits, parameters=1, macs=px * px),
            ms=None,
            accuracy=accuracy,
            known="measured",
            photos=100,
        )
        for (bits, px), accuracy in sizes.items()
    ]
    assert choose_variant(variants, Smaller(max_bytes=8000)).levers == Levers(bits=8, input_px=64)
    assert choose_variant(variants, Smaller(max_bytes=32000)).levers == Levers(bits=32, input_px=64)


def test_a_limit_of_time_takes_smaller_photos_and_leaves_the_bits(world, tmp_path):
    control = get(world, tmp_path, bits=32, device=DEVICE).levers.control
    # milliseconds are in proportion to multiply-adds
    assert control.ms == pytest.approx(40.0 * control.size.macs / 1_000_000)
    levers = get(world, tmp_path, max_ms=0.6 * control.ms, device=DEVICE).levers
    assert levers.chosen.levers == Levers(bits=32, input_px=48)  # (48 / 64)^2 = 0.56
    assert levers.chosen_by.startswith("at most ")
    assert "estimated for a Pi" in (tmp_path / "x.homerange").read_bytes().decode("latin-1")


def test_the_smallest_model_that_is_accurate_enough_is_chosen(world, tmp_path):
    reached = get(world, tmp_path, bits=32).levers.control.accuracy
    chosen = get(world, tmp_path, min_accuracy=0.99 * reached).levers.chosen
    assert chosen.levers == Levers(bits=8, input_px=64)  # 8 bits keep 0.995
    chosen = get(world, tmp_path, min_accuracy=0.997 * reached).levers.chosen
    assert chosen.levers == Levers(bits=16, input_px=64)


def test_limits_that_no_model_keeps_say_what_the_smallest_and_the_best_would_be(world, tmp_path):
    with pytest.raises(ConfigError, match=r"no model keeps the limits\. The smallest has \d+ kB"):
        get(world, tmp_path, max_bytes=10)
    with pytest.raises(ConfigError, match=r"the fastest takes [\d.]+ ms on a Pi \(estimated\)"):
        get(world, tmp_path, max_ms=1e-6, device=DEVICE)
    with pytest.raises(ConfigError, match=r"reaches 0\.995 \(8 bits, 64 px; estimated\)"):
        get(world, tmp_path, min_accuracy=1.0, max_bytes=4000)
    assert not (tmp_path / "x.homerange").exists()


def test_with_few_test_photos_nobody_knows_how_right_a_model_is(tmp_path):
    folder = build_world(tmp_path / "planet", input_px=64, test_photos=2)
    made = get(folder, tmp_path, bits=8)
    assert (made.levers.chosen.known, made.levers.chosen.accuracy) == ("not known", None)
    with pytest.raises(ConfigError, match=r"too few test photos .* Give photos with --photos"):
        get(folder, tmp_path, knee=True)


def known_photos(folder, names=("Panthera leo", "Acinonyx jubatus"), split=True, count=12):
    """Random pictures under drawn names, listed with those names."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for i in range(count):
        Image.fromarray(rng.integers(0, 256, (70, 90, 3), np.uint8)).save(folder / f"{i}.png")
        rows.append((f"{i}.png", names[i % len(names)], ("val", "test")[i % 3 == 0]))
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "species", *(["split"] if split else [])])
        writer.writerows(row if split else row[:2] for row in rows)
    return folder


def right_by_hand(path, folder, split, broken=""):
    """Count right answers with the runner, an independent road to the same number."""
    from homerange.data.images import prepare

    session = Session.open(path)
    right = []
    for row in csv.DictReader((folder / "manifest.csv").read_text().splitlines()):
        if row["split"] == split and row["file"] == broken:
            right.append(False)
        elif row["split"] == split:
            pixels = prepare(folder / row["file"], session.package.preprocessing)
            best = int(session.probabilities(pixels[None])[0].argmax())
            right.append(session.package.labels[best] == row["species"])
    return sum(right), len(right)


def test_with_photos_validation_photos_choose_and_test_photos_report(world, tmp_path):
    folder = known_photos(tmp_path / "known")
    made = get(world, tmp_path, bits=8, input_px=48, photos=folder)
    correct, count = right_by_hand(made.path, folder, "val")
    assert (made.levers.chosen.known, made.levers.chosen.photos) == ("measured", count) == (
        "measured", 8,
    )  # fmt: skip
    assert made.levers.chosen.accuracy == correct / count
    score = made.levers.chosen_score
    assert (score.correct, score.photos) == right_by_hand(made.path, folder, "test")
    assert made.levers.control_score.photos == 4
    assert "4 other photos, which did not choose" in made.card


def test_a_photo_that_cannot_be_read_counts_as_wrong_for_every_model(world, tmp_path):
    folder = known_photos(tmp_path / "known")
    (folder / "1.png").write_bytes(b"no picture")
    made = get(world, tmp_path, bits=8, photos=folder / "manifest.csv")
    correct, count = right_by_hand(made.path, folder, "val", broken="1.png")
    assert made.levers.chosen.accuracy == correct / count
    assert made.levers.chosen.photos == count == 8


def test_a_list_without_splits_is_halved_by_the_names_of_its_files(world, tmp_path):
    folder = known_photos(tmp_path / "known", split=False)
    made = get(world, tmp_path, bits=8, photos=folder)
    choosing, reporting = made.levers.chosen.photos, made.levers.chosen_score.photos
    assert choosing + reporting == 12
    assert min(choosing, reporting) > 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has the columns nothing; expected file and species"),
        ("file,label\na.jpg,lion\n", "has the columns file, label; expected file and species"),
        ("file,species,split\na.jpg,lion,val\n", "1 photos to choose by and 0 to report on"),
    ],
)
def test_a_list_that_cannot_measure_is_refused(world, tmp_path, text, message):
    path = tmp_path / "known.csv"
    path.write_text(text)
    with pytest.raises(ManifestError, match=message):
        get(world, tmp_path, bits=8, photos=path)


def test_a_missing_list_is_said(world, tmp_path):
    with pytest.raises(ManifestError, match=r"no\.csv: cannot be read as a list of photos"):
        get(world, tmp_path, bits=8, photos=tmp_path / "no.csv")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"bits": 5}, "--bits 5: expected one of 32, 16, 8, 4"),
        ({"input_px": 8}, "--input-px 8: expected at least 32"),
        ({"max_bytes": 0}, "--max-kb 0: expected a number above 0"),
        ({"min_accuracy": 70}, "--min-accuracy 70: expected a share"),
        ({"max_ms": 10.0}, "--max-ms needs --device FILE, what homerange bench measured"),
    ],
)
def test_a_wish_that_cannot_be_had_is_refused_before_any_work(wanted, message):
    with pytest.raises(ConfigError, match=message):
        Smaller(**wanted)


def test_a_device_profile_is_what_bench_writes(tmp_path):
    path = tmp_path / "bench.json"
    facts = {"format": "homerange-bench", "latency_ms": 30.0, "macs": 3_000_000, "device": "a Pi"}
    path.write_text(json.dumps(facts))
    assert DeviceProfile.read(path).ms(1_000_000) == pytest.approx(10.0)
    path.write_text(json.dumps(facts | {"macs": None}))
    with pytest.raises(ConfigError, match=r"macs is None; expected a number above 0"):
        DeviceProfile.read(path)
    path.write_text("{}")
    with pytest.raises(ConfigError, match=r'does not say "format": "homerange-bench"'):
        DeviceProfile.read(path)
    with pytest.raises(ConfigError, match=r"no profile of a device .* on the device with"):
        DeviceProfile.read(tmp_path / "no.json")


def test_nothing_is_said_of_levers_where_nobody_asked(world, tmp_path):
    made = specialize(world, SERENGETI, tmp_path / "x.homerange")
    assert made.levers is None
    assert read_package(made.path).place["levers"] == {}
    assert "| fewer bits | not used in this package |" in made.card


def test_the_figures_are_plain_values(world, tmp_path):
    made = get(world, tmp_path, bits=8)
    assert isinstance(made.levers, LeverFigures)
    assert read_package(made.path).place["levers"] == json.loads(json.dumps(made.levers.to_json()))
