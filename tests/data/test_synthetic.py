"""The synthetic planet: the same for a seed, balanced, bursts and places as promised."""

import csv
import itertools
from collections import Counter, defaultdict
from datetime import datetime

import numpy as np
import pytest
from PIL import Image

from homerange.data.synthetic import COLUMNS, draw_planet, main
from homerange.data.synthetic_creatures import BODIES, PATTERNS, Coat, Look, Pose, draw_creature
from homerange.data.synthetic_scenes import BIOMES, draw_scene, expose
from homerange.errors import ConfigError


def rows(table):
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def planet(tmp_path_factory):
    return draw_planet(tmp_path_factory.mktemp("planet"), photos_per_species=9, size_px=64)


def test_every_row_has_its_photo_and_every_photo_its_row(planet):
    found = rows(planet)
    assert list(found[0]) == list(COLUMNS)
    paths = {row["path"] for row in found}
    assert len(paths) == len(found)
    assert paths == {f"photos/{path.name}" for path in (planet.parent / "photos").iterdir()}
    for path in paths:
        with Image.open(planet.parent / path) as image:
            assert (image.size, image.mode, image.format) == ((64, 48), "RGB", "JPEG")
            assert not image.getexif()


def test_every_species_and_blank_has_exactly_as_many_photos_as_asked(planet):
    counts = Counter(row["species"] for row in rows(planet))
    assert len(counts) == 25
    assert set(counts.values()) == {9}
    assert counts["blank"] == 9


def test_names_are_invented_and_the_source_says_so(planet):
    for row in rows(planet):
        assert row["species"] == "blank" or row["species"].startswith("Fict")
        assert row["source"] == "synthetic planet (drawn, no real species)"
        assert row["licence"] == "CC0-1.0"


def test_a_file_name_does_not_give_the_species_away(planet):
    for row in rows(planet):
        stem = row["path"].removeprefix("photos/")
        assert stem.startswith(row["location_id"] + "_")
        assert stem.removeprefix(row["location_id"]).strip("_.jpg").isdigit()


def test_a_species_lives_in_one_or_two_regions_and_each_region_has_its_own(planet):
    homes = defaultdict(set)
    for row in rows(planet):
        if row["species"] != "blank":
            homes[row["species"]].add(row["region_id"])
    assert Counter(map(len, homes.values())) == {1: 16, 2: 8}
    # 24 species over 4 regions: 6 at home in each, and 8 / 4 = 2 guests.
    assert Counter(itertools.chain(*homes.values())) == {
        "serengeti": 8, "amazon": 8, "wrangel": 8, "uluru": 8,
    }  # fmt: skip


def test_cameras_stand_on_both_sides_of_the_180th_meridian(planet):
    longitudes = [float(row["longitude"]) for row in rows(planet) if row["region_id"] == "wrangel"]
    assert all(179.5 < abs(longitude) <= 180 for longitude in longitudes)
    assert min(longitudes) < 0 < max(longitudes)


def test_a_camera_has_one_place(planet):
    places = defaultdict(set)
    for row in rows(planet):
        places[row["location_id"]].add((row["region_id"], row["latitude"], row["longitude"]))
    assert all(len(place) == 1 for place in places.values())
    assert len({place for found in places.values() for place in found}) == len(places)


def test_bursts_are_one_to_three_photos_seconds_apart(planet):
    visits = [
        [datetime.fromisoformat(row["datetime"]) for row in group]
        for _, group in itertools.groupby(rows(planet), lambda r: (r["species"], r["location_id"]))
    ]
    gaps = [
        (later - earlier).total_seconds()
        for times in visits
        for earlier, later in itertools.pairwise(times)
    ]
    close = [gap for gap in gaps if abs(gap) <= 60]
    assert len(close) > 50
    assert all(1 <= gap <= 5 for gap in close)


def test_species_keep_their_own_hours(planet):
    visits = defaultdict(set)
    for row in rows(planet):
        visits[row["species"]].add(row["datetime"])
    for one, other in itertools.combinations(visits.values(), 2):
        assert not one & other


def test_the_same_seed_draws_the_same_planet_and_another_seed_another(tmp_path):
    def files(name, seed):
        table = draw_planet(
            tmp_path / name, species=3, regions=2, photos_per_species=4, size_px=48, seed=seed
        )
        return {path.name: path.read_bytes() for path in table.parent.rglob("*") if path.is_file()}

    one = files("one", 7)
    assert files("two", 7) == one
    other = files("other", 8)
    times = [
        {row["datetime"] for row in rows(tmp_path / name / "manifest.csv")}
        for name in ("one", "other")
    ]
    assert not times[0] & times[1]
    assert not [name for name in one if name.endswith(".jpg") and other.get(name) == one[name]]


def test_more_species_leave_the_first_ones_as_they_were(tmp_path):
    few = rows(draw_planet(tmp_path / "few", species=2, photos_per_species=3, size_px=32))
    many = rows(draw_planet(tmp_path / "many", species=5, photos_per_species=3, size_px=32))
    assert few[:6] == many[:6]


def test_no_two_of_160_species_share_a_name(tmp_path):
    table = draw_planet(tmp_path, species=160, regions=8, photos_per_species=1, size_px=32)
    found = rows(table)
    assert len({row["species"] for row in found}) == 161
    assert len({row["common_name"] for row in found}) == 161


def test_nights_are_grey_and_days_are_not(planet):
    for row in rows(planet):
        hour = datetime.fromisoformat(row["datetime"]).hour
        with Image.open(planet.parent / row["path"]) as image:
            pixels = np.asarray(image).astype(int)
        colourful = np.abs(pixels[..., 0] - pixels[..., 2]).mean()
        assert (colourful < 2) == (hour < 6 or hour >= 19)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("body", BODIES)
def test_every_body_and_pattern_leaves_a_mark_where_it_stands(body, pattern):
    look = Look(body=body, leg=0.4, neck=0.3, ear=0.2, tail=0.3, girth=0.3, horn=0.2, crest=False)
    coat = Coat(fur=(200, 40, 40), marks=(10, 10, 200), pattern=pattern, density=6)
    photo = Image.new("RGB", (300, 300), (90, 160, 90))
    pose = Pose(
        x_px=150, y_px=220, length_px=100, faces_left=False, stride=0.5, head=0.6,
        glowing_eyes=False,
    )  # fmt: skip
    draw_creature(photo, look, coat, pose)
    pixels = np.asarray(photo).astype(int)
    red = (pixels[..., 0] > 150) & (pixels[..., 1] < 90)
    blue = (pixels[..., 2] > 150) & (pixels[..., 0] < 60)
    y, x = np.nonzero(red | blue)
    assert 60 < x.min() < 140 < 160 < x.max() < 260
    assert y.max() < 240
    torso_is_marked = blue[:, 130:170].sum() > 100
    assert torso_is_marked == (pattern != "plain")


def test_a_creature_that_faces_left_is_the_mirror_image():
    look = Look(body="bird", leg=0.4, neck=0.3, ear=0.2, tail=0.3, girth=0.3, horn=0.2, crest=True)
    coat = Coat(fur=(200, 40, 40), marks=(10, 10, 200), pattern="striped", density=6)
    sides = []
    for faces_left in (False, True):
        photo = Image.new("RGB", (301, 300), (90, 160, 90))
        pose = Pose(
            x_px=150, y_px=220, length_px=100, faces_left=faces_left, stride=0.5, head=0.6,
            glowing_eyes=False,
        )  # fmt: skip
        draw_creature(photo, look, coat, pose)
        sides.append(np.asarray(photo).astype(int))
    assert np.abs(sides[0] - sides[1][:, ::-1]).mean() < 2
    assert np.abs(sides[0] - sides[1]).mean() > 5


@pytest.mark.parametrize("biome", BIOMES)
def test_every_biome_draws_sky_ground_and_grass(biome):
    scene = draw_scene(biome, (96, 72), np.random.default_rng(0))
    assert scene.background.mode == "RGB"
    assert scene.foreground.mode == "RGBA"
    alpha = np.asarray(scene.foreground)[..., 3]
    assert (alpha[:36] == 0).all()  # grass grows from the lower edge
    assert (alpha[-4:] > 0).any()


def test_exposing_keeps_the_picture_it_was_given():
    photo = np.full((20, 30, 3), 100, np.uint8)
    expose(photo, np.random.default_rng(0), hour=23)
    assert (photo == 100).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"species": 0}, "species is 0; expected 1 to 160"),
        ({"regions": 9}, "regions is 9; expected 1 to 8"),
        ({"photos_per_species": 0}, "photos_per_species is 0"),
        ({"size_px": 8}, "size_px is 8; expected 32 to 4096"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_numbers_out_of_range_are_refused_and_nothing_is_written(tmp_path, options, message):
    with pytest.raises(ConfigError, match=f"synthetic planet: {message}"):
        draw_planet(tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()


def test_the_command_prints_the_table_or_one_line_and_exits_with_1(tmp_path, capsys):
    small = ["--species", "2", "--photos-per-species", "2", "--size-px", "32"]
    assert main([str(tmp_path), *small]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "manifest.csv")
    assert main([str(tmp_path), "--species", "1000"]) == 1
    assert capsys.readouterr().err == (
        "Error: synthetic planet: species is 1000; expected 1 to 160\n"
    )
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "--photos-per-species" in capsys.readouterr().out
