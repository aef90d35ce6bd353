"""What the experts of a layer look at: from photos to files, and what stops that, in one line."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from tiny_encoder import torchspatial_file
from tiny_training import CLASSES, manifest_of, tiny_manifest
from tiny_world import expert_checkpoint
from torch import nn

from homerange.cli import main
from homerange.data.images import Preprocessing
from homerange.data.manifest import Manifest
from homerange.model.projections import save_projections
from homerange.profile.patches import LayerPatches, Near
from homerange.report.affinity import expert_shares_EK, in_order, nearest_is_home
from homerange.report.canvas import PAPER
from homerange.report.patches import PATCH_PX, _cut_out, draw_patches, without_people

NAMES = ("patches", "class-affinity", "place-affinity")
PLACES = ("--places", "0/,4/,2/1")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Figures of layer 3 of a network with random weights; one validation photo is broken."""
    folder = tmp_path_factory.mktemp("made")
    manifest = tiny_manifest(folder, train=8, val=9, test=0)
    expert_checkpoint(folder / "ex", layers=(1, 3), experts=4)
    (folder / "photos" / "8.jpg").write_bytes(b"")  # the first validation photo, a lion
    result = run(folder / "ex", manifest, folder / "out", *PLACES)
    return SimpleNamespace(
        checkpoint=folder / "ex", manifest=manifest, out=folder / "out", result=result
    )


def run(checkpoint, manifest, output, *arguments):
    given = ["report", "experts", checkpoint, manifest, "-o", output, *arguments]
    return CliRunner().invoke(main, [str(part) for part in given])


def read(folder, name):
    with (folder / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def the_error(result):
    """The one line of an error of ours."""
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_each_figure_is_a_picture_with_its_numbers(made):
    assert made.result.stdout.split() == [str(made.out / f"{name}.png") for name in NAMES]
    for name in NAMES:
        with Image.open(made.out / f"{name}.png") as picture:
            assert picture.width == 2400
            assert len(np.unique(np.asarray(picture.convert("L")))) > 50
            assert not picture.getexif()


def test_a_photo_that_cannot_be_read_is_told_and_the_rest_is_drawn(made):
    assert made.result.exit_code == 3
    assert "note: 1 validation photos could not be read and are left out" in made.result.stderr


def test_the_last_layer_with_experts_is_drawn_and_shares_of_a_class_add_up(made):
    # Photos 8 to 16, in turn lion, zebra, raccoon, blank: three lions of which one is broken, two
    # zebras, two raccoons; blanks are no species. At 32 pixels layer 3 has 2 x 2 patches.
    rows = read(made.out, "class-affinity")
    photos = {row["class"]: int(row["photos"]) for row in rows}
    assert photos == {"Panthera leo": 2, "Equus quagga": 2, "Procyon lotor": 2}
    for name in photos:
        own = [row for row in rows if row["class"] == name]
        assert sum(float(row["share"]) for row in own) == pytest.approx(1)
        assert sum(int(row["patches"]) for row in own) == 2 * 4
    assert {row["layer"] for row in rows} == {"3"}


def test_patches_name_their_photo_its_source_and_its_licence(made):
    rows = read(made.out, "patches")
    assert {(row["source"], row["licence"]) for row in rows} == {("drawn", "CC0-1.0")}
    assert {row["image"] for row in rows} <= {f"{i}.jpg" for i in range(9, 17)}
    assert {(row["row"], row["column"]) for row in rows} <= {
        (y, x) for y in "01" for x in "01"
    }  # fmt: skip
    assert not any(row["species"] == "blank" for row in rows)


def test_locations_without_training_photos_are_left_out_and_homes_are_marked(made):
    rows = read(made.out, "place-affinity")
    assert {row["location"] for row in rows} == {"L1 0/", "L2 4/"}  # 2/1 has no photo
    homes = {row["name"]: row["location"] for row in rows if row["home"] == "1"}
    assert homes == {"Panthera leo": "L1 0/", "Equus quagga": "L1 0/", "Procyon lotor": "L2 4/"}
    experts = [row for row in rows if row["of"] == "expert"]
    assert len(experts) == 4 * 2
    for number in "0123":
        assert sum(float(r["share"]) for r in experts if r["name"] == number) == pytest.approx(1)
    # All training photos at 4/ are raccoons: without them nothing is left to compare raccoons with.
    raccoon = [r for r in rows if (r["of"], r["name"]) == ("class", "Procyon lotor")]
    assert [float(r["share"]) for r in raccoon] == [1, 0]


def test_with_a_location_encoder_the_locations_are_its_projections(made, tmp_path):
    torchspatial_file(tmp_path / "grid.pth.tar")
    torch.manual_seed(0)
    trained = nn.ModuleDict({"norm": nn.LayerNorm(6), "project": nn.ModuleList([nn.Linear(6, 96)])})
    save_projections(trained.state_dict(), tmp_path)
    given = ("--encoder", tmp_path / "grid.pth.tar", "--located", tmp_path)
    result = run(made.checkpoint, made.manifest, tmp_path / "out", *PLACES, *given)
    assert result.exit_code == 3, result.stderr
    theirs, ours = read(tmp_path / "out", "place-affinity"), read(made.out, "place-affinity")
    assert [row["location"] for row in theirs] == [row["location"] for row in ours]
    assert [row["cosine"] for row in theirs] != [row["cosine"] for row in ours]
    assert read(tmp_path / "out", "class-affinity") == read(made.out, "class-affinity")


def test_projections_without_an_encoder_are_a_wrong_use(made, tmp_path):
    result = run(made.checkpoint, made.manifest, tmp_path, "--located", tmp_path)
    assert result.exit_code == 2
    assert "--located has the projections of --encoder; give both" in result.stderr


def test_a_checkpoint_without_experts_is_refused(made, tmp_path):
    expert_checkpoint(tmp_path / "control", layers=(3,), experts=0, shared=2)
    error = the_error(run(tmp_path / "control", made.manifest, tmp_path / "out"))
    assert error.endswith("has no experts to look at. Make some with: homerange train experts")
    assert not (tmp_path / "out").exists()


def test_a_layer_without_experts_is_refused(made, tmp_path):
    error = the_error(run(made.checkpoint, made.manifest, tmp_path / "out", "--layer", "2"))
    assert f"layer 2 of {made.checkpoint} has no experts; expected one of 1, 3" in error


def test_places_without_training_photos_are_refused(made, tmp_path):
    error = the_error(run(made.checkpoint, made.manifest, tmp_path / "out", "--places", "5/"))
    assert "no training photo lies in any of the 1 locations 5/. Name others" in error


def test_no_photo_of_people_is_shown(tmp_path):
    # Photo 1 shows a lion and a person, in two rows.
    names = ["Panthera leo", "Panthera leo", "person", "blank", None, "Equus quagga"]
    images = ["0.jpg", "1.jpg", "1.jpg", "3.jpg", "4.jpg", "5.jpg"]
    rows = [{"species": n, "image": i} for n, i in zip(names, images, strict=True)]
    kept = without_people(manifest_of(rows, tmp_path))
    assert kept.strings("image") == ["0.jpg", "5.jpg"]


def test_a_patch_is_cut_out_where_it_is_with_its_neighbours(tmp_path):
    # A photo of 4 x 4 squares of which the one in row 1, column 3 is red, at the right edge.
    square = np.zeros((80, 80, 3), np.uint8)
    square[20:40, 60:80] = (255, 0, 0)
    Image.fromarray(square).save(tmp_path / "0.png")
    photos = manifest_of([{"image": "0.png"}], tmp_path)
    how = Preprocessing(input_px=64, fit="squash")
    tile = _cut_out(Near(0, row=1, column=3, cosine=1.0), 4, photos, how)
    assert tile.shape == (3 * PATCH_PX, 3 * PATCH_PX, 3)

    def middle(row, column):
        y, x = (round((place + 0.5) * PATCH_PX) for place in (row, column))
        return tile[y, x].tolist()

    assert middle(1, 1) == [255, 0, 0]
    assert middle(1, 0) == middle(0, 1) == middle(2, 0) == [0, 0, 0]
    assert middle(1, 2) == [int(PAPER[i : i + 2], 16) for i in (1, 3, 5)]  # beyond the photo


def test_an_expert_without_patches_says_so_and_every_second_of_sixteen_is_drawn(tmp_path):
    tokens_CE = np.zeros((1, 16), int)
    tokens_CE[0, 2] = 4
    empty = LayerPatches(
        layer=7, side=2, photos_C=np.array([1]), tokens_CE=tokens_CE, nearest=((),) * 16,
        share_CK=np.ones((1, 1)), cosine_EK=np.ones((16, 1)), unreadable=[],
    )  # fmt: skip
    figure = draw_patches(empty, manifest_of([{}], tmp_path), Preprocessing())
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert [text for text in texts if text.startswith("expert")] == [
        f"expert {e}" for e in range(0, 16, 2)
    ]
    assert texts.count("gets no patch of these photos") == 8
    assert texts.count("100.0 % of patches") == 1
    assert figure.texts[1].get_text().startswith("Every 2nd expert of 16, ")


def test_relatives_stand_beside_each_other_and_classes_without_photos_do_not(tmp_path):
    taxa = [
        ("Vulpes vulpes", "Mammalia", "Carnivora", "Canidae"),
        ("Panthera leo", "Mammalia", "Carnivora", "Felidae"),
        ("Canis lupus", "Mammalia", "Carnivora", "Canidae"),
        ("Aquila audax", "Aves", None, None),
        ("Nobody knows", None, None, None),
    ]
    names = ("species", "taxon_class", "taxon_order", "taxon_family")
    photos = manifest_of([dict(zip(names, taxon, strict=True)) for taxon in taxa], tmp_path)
    classes = [*(taxon[0] for taxon in taxa), "Without photos"]
    order = in_order(photos, classes, np.array([1, 1, 1, 1, 1, 0]))
    assert [classes[c] for c in order] == [
        "Aquila audax", "Canis lupus", "Vulpes vulpes", "Panthera leo", "Nobody knows",
    ]  # fmt: skip


def test_centres_are_shared_out_as_patches_are():
    # Cosines 0.5, 0.499 and 0.4 at temperature 0.001: weights 1, exp(-1), exp(-100).
    found = SimpleNamespace(cosine_EK=np.array([[0.5, 0.499, 0.4]]))
    first = 1 / (1 + np.exp(-1))
    assert expert_shares_EK(found)[0] == pytest.approx([first, 1 - first, 0], abs=1e-12)


def test_the_nearest_location_is_compared_with_that_of_shuffled_classes():
    # Nearest: 0, 0, 1, 1. Homes 0, 0, 1, 0: three agree. Shuffled, three homes 0 and one 1 fall on
    # two zeros and two ones: each class nearest to 0 agrees in 3 of 4 cases, each nearest to 1 in 1
    # of 4, on average 2 * 3/4 + 2 * 1/4 = 2. The fifth class has no home, the sixth no photos.
    share_CK = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7], [1, 0], [np.nan] * 2])
    hits, shuffled, known = nearest_is_home(share_CK, {0: 0, 1: 0, 2: 1, 3: 0, 5: 0})
    assert (hits, known) == (3, 4)
    assert shuffled == pytest.approx(2, abs=0.1)
    assert nearest_is_home(share_CK, {}) == (0, 0.0, 0)


def test_fewer_photos_of_a_class_are_run_if_one_asks_for_fewer(made, tmp_path):
    result = run(
        made.checkpoint, made.manifest, tmp_path, *PLACES, "--photos-per-class", "1", "--layer", "1"
    )
    assert result.exit_code in (0, 3)
    rows = read(tmp_path, "class-affinity")
    assert {row["photos"] for row in rows} == {"1"}
    assert {row["layer"] for row in rows} == {"1"}


def test_classes_that_the_network_does_not_know_are_not_run(made, tmp_path):
    rows = Manifest.read(made.manifest).table.to_pylist()
    for row in rows:
        row["species"] = "Rara avis" if row["species"] in CLASSES else row["species"]
    manifest_of(rows, made.manifest.parent / "photos").write(tmp_path / "m.parquet")
    error = the_error(run(made.checkpoint, tmp_path / "m.parquet", tmp_path / "out", *PLACES))
    assert "no training photo lies in any of the 3 locations" in error
