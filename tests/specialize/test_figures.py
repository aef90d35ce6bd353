"""What a package is worth: by hand, against the slow way, and from the cut model itself."""

import numpy as np
import onnx
import pytest
from fakes import SERENGETI, TAVEUNI, build_world, load_external, rows_to_head
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from homerange.errors import WorldError
from homerange.geo.cells import cell_ids
from homerange.geo.place import Cell, Circle, SpeciesList
from homerange.specialize.cut import cut_world
from homerange.specialize.evidence import judged_photos
from homerange.specialize.figures import MEASURED_FROM, measure, score
from homerange.specialize.species import species_at
from homerange.world.parquet import strings
from homerange.world.tables import Evidence, Profile
from homerange.world.world import open_world

WEIGHT, BIAS = "head.classes.weight", "head.classes.bias"
LION, BLANK, RACCOON, FOX, BEAR, ELEPHANT = range(6)
HERE, ELSEWHERE = (-2.33, 34.83), (41.88, -87.63)


def judged(world, place, **choice):
    table = species_at(world, place, **choice)
    return table, measure(world, table, cut_world(world, table.class_index_K))


def photos(*rows, features=2):
    """Build evidence: (class, latitude and longitude or None, split, feature)."""
    cell_N = np.zeros(len(rows), np.uint64)
    for i, (_, latlon, _, _) in enumerate(rows):
        if latlon:
            cell_N[i] = cell_ids(np.array([latlon]), 8)[0]
    return Evidence(
        class_index=np.array([row[0] for row in rows], np.int32),
        cell=cell_N,
        split=strings(row[2] for row in rows),
        sequence=np.full(len(rows), -1, np.int32),
        source=strings("here" for _ in rows),
        feature=np.array([row[3] for row in rows], np.float16).reshape(-1, features),
    )


def hand_world(folder, evidence):
    """A world whose evidence is given: 6 classes, lions and elephants at Serengeti."""
    features = evidence.feature.shape[1]
    return open_world(build_world(folder, classes=6, features=features, evidence=evidence))


def answered_as(world, *classes):
    """Find, for each class, a feature that the dense world answers with that class."""
    head = {t.name: numpy_helper.to_array(t) for t in load_external(world.path).graph.initializer}
    feature_ND = np.random.default_rng(0).normal(size=(2000, head[WEIGHT].shape[1]))
    feature_ND = feature_ND.astype(np.float16)
    answer_N = (feature_ND.astype(np.float32) @ head[WEIGHT].T + head[BIAS]).argmax(axis=1)
    return [feature_ND[answer_N == c][0] for c in classes]


def test_a_score_by_hand():
    # Classes 0, 0, 0, 1, 2 are answered 0, 0, 1, 1, 1: three of five right.
    # F1: class 0: 2*2/(3+2) = 0.8; class 1: 2*1/(1+3) = 0.5; class 2: 0 -> mean 0.43333.
    got = score(np.array([0, 0, 0, 1, 2]), np.array([0, 0, 1, 1, 1]))
    assert (got.photos, got.correct, got.top1) == (5, 3, 0.6)
    assert got.macro_f1 == pytest.approx((0.8 + 0.5 + 0) / 3)
    # Wilson for 3 of 5: (0.6 + 1.92073/5 -+ 1.95996 * sqrt(0.24/5 + 3.84146/100)) / (1 + 3.84146/5)
    half = 1.959964 * np.sqrt(0.6 * 0.4 / 5 + 3.841459 / (4 * 25))
    assert got.top1_low == pytest.approx(
        (0.6 + 3.841459 / 10 - half) / (1 + 3.841459 / 5), abs=1e-6
    )
    assert got.top1_high == pytest.approx(
        (0.6 + 3.841459 / 10 + half) / (1 + 3.841459 / 5), abs=1e-6
    )
    assert not got.measured


def test_no_photos_give_no_number():
    got = score(np.array([], int), np.array([], int))
    assert (got.photos, got.top1, got.macro_f1, got.measured) == (0, None, None, False)
    assert (got.top1_low, got.top1_high) == (0.0, 1.0)


def test_a_share_is_measured_from_thirty_photos_on():
    assert not score(np.zeros(29, int), np.zeros(29, int)).measured
    assert score(np.zeros(30, int), np.zeros(30, int)).measured
    assert MEASURED_FROM == 30


def test_only_photos_of_the_species_and_of_the_place_are_judged(tmp_path):
    zero = (0.0, 0.0)
    world = hand_world(
        tmp_path,
        photos(
            (LION, HERE, "test", zero),  # on the list, here
            (LION, ELSEWHERE, "test", zero),  # on the list, elsewhere
            (LION, None, "test", zero),  # on the list, nobody knows where
            (RACCOON, HERE, "test", zero),  # off the list, here: an error of the package
            (RACCOON, ELSEWHERE, "test", zero),  # off the list, elsewhere: not judged
            (RACCOON, None, "test", zero),  # not judged
            (BLANK, HERE, "test", zero),  # an outcome, here
            (BLANK, ELSEWHERE, "test", zero),  # not judged
            (LION, HERE, "val", zero),  # not a test photo: never judged
        ),
    )
    table, figures = judged(world, SERENGETI)
    assert {row.species for row in table.species} == {"Panthera leo", "Loxodonta africana"}
    assert (figures.photos_on_list, figures.photos_off_list) == (3, 1)
    for row in figures.rows:
        assert row.on_species.photos == 4
        assert row.at_place.photos == 3  # lion, raccoon and blank


def test_answers_by_hand(tmp_path):
    probe = hand_world(tmp_path / "probe", photos((LION, HERE, "test", [0] * 8), features=8))
    lion, elephant, raccoon = answered_as(probe, LION, ELEPHANT, RACCOON)
    world = hand_world(
        tmp_path / "world",
        photos(
            (LION, HERE, "test", lion),  # right in all rows
            (LION, ELSEWHERE, "test", elephant),  # wrong in all rows: elephants are on the list
            (LION, ELSEWHERE, "test", raccoon),  # wrong in the dense world; right or not if masked
            (RACCOON, HERE, "test", raccoon),  # right in the dense world, never in the package
            (BLANK, HERE, "test", lion),  # of the place, but no species: wrong in all rows
            features=8,
        ),
    )
    _, figures = judged(world, SERENGETI)
    dense, masked, package = figures.rows
    assert (dense.on_species.correct, dense.on_species.photos) == (2, 4)
    assert (dense.at_place.correct, dense.at_place.photos) == (2, 3)
    assert (package.at_place.correct, package.at_place.photos) == (1, 3)
    assert masked.on_species.correct == package.on_species.correct
    assert [(row.species, row.photos) for row in figures.species] == [
        ("Loxodonta africana", 0),
        ("Panthera leo", 3),
    ]
    assert figures.species[1].correct == package.on_species.correct


@settings(max_examples=12)
@given(
    seed=st.integers(0, 999),
    classes=st.integers(2, 25),
    head=st.sampled_from(["gemm", "matmul"]),
    place=st.sampled_from([SERENGETI, TAVEUNI, SpeciesList(("Panthera leo",))]),
)
def test_figures_are_those_of_judging_photo_by_photo(tmp_path_factory, seed, classes, head, place):
    folder = build_world(
        tmp_path_factory.mktemp("world"), classes=classes, seed=seed, head=head, test_photos=9
    )
    world = open_world(folder)
    choice = {"include": ["Panthera leo"]} if place is TAVEUNI else {}
    table, figures = judged(world, place, **choice)
    weights = {t.name: numpy_helper.to_array(t) for t in load_external(folder).graph.initializer}
    weight_CD = rows_to_head(weights[WEIGHT], head)
    evidence = Evidence.read(folder)
    on_list = {row.class_index for row in table.species}
    right, total = {"dense": 0, "masked": 0}, 0
    for c, split, feature in zip(
        evidence.class_index, evidence.split, evidence.feature, strict=True
    ):
        if split != "test" or c not in on_list:
            continue  # the fake world has no photo of a species off the list at the place
        logits = [float(np.dot(row, feature.astype(np.float32))) for row in weight_CD]
        logits = [x + float(b) for x, b in zip(logits, weights[BIAS], strict=True)]
        total += 1
        right["dense"] += max(range(classes), key=logits.__getitem__) == c
        right["masked"] += max(table.class_index_K.tolist(), key=logits.__getitem__) == c
    dense, masked, package = figures.rows
    assert {row.on_species.photos for row in figures.rows} == {total}
    assert dense.on_species.correct == right["dense"]
    assert masked.on_species.correct == right["masked"] == package.on_species.correct
    assert masked.on_species.correct >= dense.on_species.correct
    assert sum(row.correct for row in figures.species) == right["masked"]


def test_dense_counts_of_the_evidence_are_those_of_the_profile(tmp_path):
    world = open_world(build_world(tmp_path, classes=9, outcomes=(), test_photos=12))
    everything = SpeciesList(world.labels)
    _, figures = judged(world, everything)
    profile = Profile.read(tmp_path, "split = 'test'")
    dense = figures.rows[0].on_species
    assert (dense.correct, dense.photos) == (profile.correct.sum(), profile.photos.sum())
    assert 0 < dense.correct < dense.photos, "a law over all or nothing proves little"


def test_the_row_of_the_package_is_read_from_the_cut_model(tmp_path):
    world = open_world(build_world(tmp_path, classes=9, test_photos=30))
    table = species_at(world, SpeciesList(("Panthera leo", "Ursus maritimus")))
    model = onnx.load_from_string(cut_world(world, table.class_index_K))
    for tensor in model.graph.initializer:
        if tensor.name in (WEIGHT, BIAS):
            rows = numpy_helper.to_array(tensor)[::-1].copy()
            tensor.CopyFrom(numpy_helper.from_array(rows, tensor.name))
    figures = measure(world, table, model.SerializeToString())
    _, masked, package = figures.rows
    assert masked.on_species.correct > 40
    assert package.on_species.correct < 20


def test_bytes_are_those_of_the_files_and_the_model(tmp_path):
    folder = build_world(tmp_path)
    world = open_world(folder)
    table = species_at(world, SERENGETI)
    model = cut_world(world, table.class_index_K)
    dense, masked, package = measure(world, table, model).rows
    files = ("graph.onnx", "weights.safetensors")
    assert dense.size.bytes == sum((folder / name).stat().st_size for name in files)
    assert masked.size == dense.size
    assert package.size.bytes == len(model)
    # 10 classes of 8 features and a bias; 4 are kept (3 species and blank): 6 * 9 fewer.
    assert dense.size.parameters - package.size.parameters == 6 * 9
    assert dense.size.macs - package.size.macs == 6 * 8


def test_a_list_of_species_has_no_photos_of_the_place(tmp_path):
    world = open_world(build_world(tmp_path))
    _, figures = judged(world, SpeciesList(("Panthera leo",)))
    assert {row.at_place for row in figures.rows} == {None}
    assert figures.photos_off_list == 0
    assert figures.photos_on_list == 5


def test_photos_on_both_sides_of_the_dateline_are_of_the_place(tmp_path):
    evidence = photos(
        (FOX, (-16.8, 179.9), "test", (0, 0)),
        (FOX, (-16.8, -179.9), "test", (0, 0)),
        (FOX, (-16.8, 0.0), "test", (0, 0)),
    )
    world = hand_world(tmp_path, evidence)
    _, figures = judged(world, TAVEUNI)
    assert figures.rows[0].at_place.photos == 2
    assert figures.rows[0].on_species.photos == 3


def test_a_photo_in_a_coarse_cell_is_not_of_a_small_place(tmp_path):
    evidence = photos((LION, HERE, "test", (0, 0)), (LION, HERE, "test", (0, 0)))
    evidence.cell[1] = cell_ids(np.array([HERE]), 4)[0]  # about 580 km wide
    world = hand_world(tmp_path, evidence)
    _, figures = judged(world, SERENGETI)
    assert figures.rows[0].at_place.photos == 1


def cell_of(latlon, level):
    return Cell(int(cell_ids(np.array([latlon]), level)[0]))


@pytest.mark.parametrize(
    "place",
    [Circle(*HERE, radius_km=20), Circle(*HERE, radius_km=1), cell_of(HERE, 8), cell_of(HERE, 10)],
    ids=["20 km", "1 km", "cell of level 8", "cell of level 10"],
)
def test_a_place_smaller_than_the_cells_of_a_world_has_the_photos_of_its_cell(tmp_path, place):
    evidence = photos(
        (LION, HERE, "test", (0, 0)),
        (RACCOON, HERE, "test", (0, 0)),  # off the list: an error of the package
        (LION, (-4.33, 34.83), "test", (0, 0)),  # 222 km to the south
        (LION, HERE, "test", (0, 0)),
    )
    evidence.cell[3] = cell_of(HERE, 7).cell  # more than 36 km uncertain: nobody knows
    world = hand_world(tmp_path, evidence)
    _, figures = judged(world, place, include=["Panthera leo"])
    assert (figures.photos_on_list, figures.photos_off_list) == (3, 1)
    for row in figures.rows:
        assert row.at_place.photos == 2
        assert row.on_species.photos == 4


def test_without_any_test_photo_there_are_sizes_only(tmp_path):
    world = open_world(build_world(tmp_path, test_photos=0))
    _, figures = judged(world, SERENGETI)
    for row in figures.rows:
        assert row.on_species.photos == 0
        assert row.on_species.top1 is None
        assert row.size.bytes > 0


def test_photos_in_many_batches_count_as_in_one(tmp_path, monkeypatch):
    world = open_world(build_world(tmp_path, test_photos=20))
    _, once = judged(world, SERENGETI)
    monkeypatch.setattr("homerange.specialize.evidence._PHOTOS_AT_A_TIME", 7)
    assert judged(world, SERENGETI)[1] == once


def test_a_world_of_one_class_is_always_right(tmp_path):
    world = open_world(build_world(tmp_path, classes=1, outcomes=()))
    _, figures = judged(world, SERENGETI)
    assert [row.on_species.top1 for row in figures.rows] == [1.0, 1.0, 1.0]


def test_features_of_another_size_than_the_class_rows_are_refused(tmp_path):
    evidence = photos((LION, HERE, "test", (0, 0, 0)), features=3)
    folder = build_world(tmp_path / "three", classes=6, features=3, evidence=evidence)
    three = Evidence.read(folder)
    world = hand_world(tmp_path / "two", photos((LION, HERE, "test", (0, 0))))
    three.write(world.path)
    with pytest.raises(WorldError, match=r"a photo has 3 features; the class rows take 2\. Publ"):
        judged(world, SERENGETI)


def test_judged_photos_know_whether_they_are_of_the_place(tmp_path):
    world = hand_world(
        tmp_path, photos((LION, HERE, "test", (0, 0)), (LION, ELSEWHERE, "test", (1, 1)))
    )
    found = judged_photos(world, species_at(world, SERENGETI))
    assert dict(zip(found.feature_ND[:, 0].tolist(), found.at_place_N.tolist(), strict=True)) == {
        0.0: True,
        1.0: False,
    }
