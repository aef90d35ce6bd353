"""What a world says about places: made coarse, counted by hand, and test photos kept out."""

import numpy as np
import pytest
from sklearn.metrics import log_loss
from tiny_training import manifest_of

from homerange.data.answers import Answers
from homerange.geo.cells import cell_ids, cell_level, mean_edge_km, to_token
from homerange.geo.place import Circle
from homerange.profile.records import evidence, occurrence, profile_counts, published_cells
from homerange.profile.taxa import taxa
from homerange.specialize.records import counts_for

SERENGETI = {"latitude_deg": -2.33, "longitude_deg": 34.83}
CHICAGO = {"latitude_deg": 41.88, "longitude_deg": -87.63}


def cell(place, level=8):
    return int(cell_ids(np.array([[place["latitude_deg"], place["longitude_deg"]]]), level)[0])


# Cells


@pytest.mark.parametrize(
    ("uncertainty_m", "level"),
    [
        (None, 8),  # unknown
        (0.0, 8),
        (30.0, 8),
        (36_000.0, 8),  # the mean edge of level 8 is 36.3 km
        (37_000.0, 7),
        (72_000.0, 7),
        (73_000.0, 6),
        (30_000_000.0, 0),  # a whole face of the cube is 9,297 km
    ],
)
def test_an_uncertain_coordinate_becomes_a_coarser_cell(uncertainty_m, level):
    manifest = manifest_of([SERENGETI | {"coordinate_uncertainty_m": uncertainty_m}], None)
    assert published_cells(manifest).tolist() == [cell(SERENGETI, level)]
    assert level == 0 or mean_edge_km(level) * 1000 >= (uncertainty_m or 0)


def test_no_cell_is_finer_than_36_km():
    assert mean_edge_km(8) > 36
    found = published_cells(manifest_of([SERENGETI, CHICAGO], None))
    assert cell_level(found).tolist() == [8, 8]


def test_photos_without_coordinates_have_cell_0_and_mix_with_the_others():
    rows = [SERENGETI, {}, CHICAGO | {"coordinate_uncertainty_m": 50_000.0}, {}]
    rows[1]["coordinate_uncertainty_m"] = 10.0
    found = published_cells(manifest_of(rows, None))
    assert found.dtype == np.uint64
    assert found.tolist() == [cell(SERENGETI), 0, cell(CHICAGO, 7), 0]


# Occurrence


def records(*rows):
    named = [{"species": "Panthera leo", "split": "train"} | SERENGETI | row for row in rows]
    found = occurrence(manifest_of(named, None))
    columns = ("species", "cell", "month", "source", "uncertainty_km", "count_band")
    return list(zip(*(getattr(found, name).tolist() for name in columns), strict=True))


def test_records_are_counted_by_species_cell_month_and_split():
    may, june = {"datetime": "2021-05-03T10:00:00"}, {"datetime": "2019-06-30"}
    hare = {"species": "Lepus europaeus"}
    found = records(may, may | {"datetime": "1999-05-31T23:59:59+03:00"}, june, hare | may, {},
                    may | {"split": "val"}, may | CHICAGO)  # fmt: skip
    here, there = cell(SERENGETI), cell(CHICAGO)
    assert sorted(found) == sorted(
        [
            ("Panthera leo", here, 5, "train", 0.0, 2),  # two records: the band 2-5
            ("Panthera leo", here, 6, "train", 0.0, 1),
            ("Panthera leo", here, 0, "train", 0.0, 1),  # no time
            ("Panthera leo", here, 5, "val", 0.0, 1),
            ("Panthera leo", there, 5, "train", 0.0, 1),
            ("Lepus europaeus", here, 5, "train", 0.0, 1),
        ]
    )


@pytest.mark.parametrize(
    ("photos", "band"), [(1, 1), (2, 2), (5, 2), (6, 3), (20, 3), (21, 4), (100, 4), (101, 5)]
)
def test_counts_become_bands(photos, band):
    assert [row[-1] for row in records(*[{}] * photos)] == [band]


@pytest.mark.parametrize(
    "row",
    [
        {"split": "test"},
        {"split": None},
        {"species": None},
        {"species": "blank"},
        {"species": "person"},
        {"species": "vehicle"},
        {"latitude_deg": None, "longitude_deg": None},
    ],
    ids=str,
)
def test_test_photos_outcomes_and_photos_without_species_or_place_are_no_records(row):
    assert records(row) == []
    assert len(records(row, {})) == 1


def unsure(*km):
    return [{"coordinate_uncertainty_m": None if one is None else one * 1000} for one in km]


def test_records_are_counted_apart_by_bands_of_uncertainty_and_keep_the_largest_of_each():
    found = records(*unsure(0.1, None, 1, 1.5, 10, 11, 36, 36.2, 36.1))
    here = cell(SERENGETI)
    assert [row[1:] for row in found] == [
        (here, 0, "train", 1.0, 2),  # three records: the band 2-5
        (here, 0, "train", 10.0, 2),
        (here, 0, "train", 36.0, 2),
        (here, 0, "train", pytest.approx(36.2), 2),
    ]


def test_one_vague_record_does_not_silence_six_exact_ones():
    place = Circle(-2.33, 34.83, radius_km=20)
    found = occurrence(
        manifest_of(
            [
                {"species": "Panthera leo", "split": "train"} | SERENGETI | row
                for row in unsure(*[0.01] * 6, 27)
            ],
            None,
        )
    )
    votes_N = counts_for(place, found.cell, found.uncertainty_km)
    assert sorted(zip(votes_N.tolist(), found.count_band.tolist(), strict=True)) == [
        (False, 1),
        (True, 3),  # six records: the band 6-20
    ]


def test_the_same_records_in_any_order_give_the_same_table():
    rows = [{}, CHICAGO, {"species": "Lepus europaeus"}, {"datetime": "2020-02-02"}, *unsure(2, 20)]
    assert records(*rows) == records(*rows[::-1])


# Evidence and profile


@pytest.fixture
def judged():
    """Six judged photos; the fourth is of a species that the network does not know."""
    rows = [
        {"split": "val", "sequence_id": "z", "source": "a"} | SERENGETI,
        {"split": "test", "sequence_id": "b", "source": "a"} | SERENGETI,
        {"split": "test", "source": "b"} | CHICAGO,
        {"split": "test", "sequence_id": "z"} | SERENGETI,
        {"split": "test", "sequence_id": "b"} | SERENGETI,
        {"split": "val"},
    ]
    return manifest_of(rows, None)


def answers_of(class_N, logits_NC, row_N=None):
    rows = np.arange(len(class_N)) if row_N is None else np.array(row_N)
    features_ND = np.arange(3 * len(class_N), dtype=np.float32).reshape(-1, 3) / 7
    logits_NC = np.array(logits_NC, np.float32)
    return Answers(rows, np.array(class_N), features_ND, logits_NC, [])


def test_evidence_keeps_features_cells_and_renumbered_sequences(judged):
    answers = answers_of([0, 1, 0, -1, 1, 0], np.zeros((6, 2)))
    found = evidence(judged, answers)
    assert found.class_index.tolist() == [0, 1, 0, 1, 0]
    here, there = cell(SERENGETI), cell(CHICAGO)
    assert found.cell.tolist() == [here, here, there, here, 0]
    assert found.split.tolist() == ["val", "test", "test", "test", "val"]
    assert found.sequence.tolist() == [1, 0, -1, 0, -1]  # b is 0 and z is 1; no names
    assert found.source.tolist() == ["a", "a", "b", "", ""]
    expected_ND = answers.features_ND[[0, 1, 2, 4, 5]].astype(np.float16)
    assert np.array_equal(found.feature, expected_ND)


def test_evidence_follows_the_rows_that_could_be_read(judged):
    found = evidence(judged, answers_of([0, 1], np.zeros((2, 2)), row_N=[2, 5]))
    assert found.cell.tolist() == [cell(CHICAGO), 0]
    assert found.split.tolist() == ["test", "val"]


def test_the_profile_counts_by_class_cell_and_split_by_hand(judged):
    # Seven classes, so that the sixth-best answer is not among the top five.
    right, second, sixth = np.zeros(7), np.zeros(7), np.zeros(7)
    right[1], second[[0, 1]], sixth[[0, 2, 3, 4, 5]] = 9, (9, 5), 9
    logits_NC = np.stack([right, second, right, right, sixth, right])
    logits_NC[0] = logits_NC[5] = np.roll(right, -1)  # photos of class 0, answered 0
    logits_NC[2] = right  # a photo of class 0, answered 1
    answers = answers_of([0, 1, 0, -1, 1, 0], logits_NC)
    found = profile_counts(judged, answers)
    here, there = cell(SERENGETI), cell(CHICAGO)
    columns = ("class_index", "cell", "split", "photos", "correct", "correct_top5")
    rows = sorted(zip(*(getattr(found, name).tolist() for name in columns), strict=True))
    assert rows == sorted(
        [
            (0, here, "val", 1, 1, 1),
            (0, there, "test", 1, 0, 1),
            (0, 0, "val", 1, 1, 1),
            (1, here, "test", 2, 0, 1),  # one second-best and one sixth-best
        ]
    )


def test_the_summed_loss_is_scikit_learns():
    rng = np.random.default_rng(0)
    logits_NC = rng.normal(size=(40, 5)).astype(np.float32)
    class_N = rng.integers(0, 5, 40)
    manifest = manifest_of([{"split": "test"} | SERENGETI] * 40, None)
    found = profile_counts(manifest, answers_of(class_N, logits_NC))
    share_NC = np.exp(logits_NC.astype(np.float64))
    share_NC /= share_NC.sum(axis=1, keepdims=True)
    for row, label in enumerate(found.class_index.tolist()):
        own_N = class_N == label
        expected = log_loss(class_N[own_N], share_NC[own_N], labels=range(5), normalize=False)
        assert found.loss_sum[row] == pytest.approx(expected, rel=1e-9)
        assert found.photos[row] == own_N.sum()


def test_logits_that_would_overflow_have_a_loss_all_the_same():
    # 1000 against 0: the loss of the first class is 0, that of the second 1000.
    manifest = manifest_of([{"split": "test"}] * 2, None)
    answers = answers_of([0, 1], [[1000, 0], [1000, 0]])
    assert profile_counts(manifest, answers).loss_sum.tolist() == [0, 1000]


# Classes


def test_taxa_stand_in_class_order_with_their_photos():
    lion = {"species": "Panthera leo", "taxon_family": "Felidae"}
    rows = [
        lion | {"common_name": "Lion", "split": "train"},
        lion | {"common_name": "lion", "split": "train"},
        lion | {"common_name": "lion", "split": "test"},
        lion | {"split": "val"},
        {"species": "blank", "split": "test"},
        {"species": "Lepus europaeus", "common_name": "hare", "split": "train"},
        {"split": "train"},
    ]
    found = taxa(manifest_of(rows, None), ["Panthera leo", "Equus quagga", "blank"])
    assert found.class_index.tolist() == [0, 1, 2]
    assert found.species.tolist() == ["Panthera leo", "Equus quagga", "blank"]
    assert found.common_name.tolist() == ["lion", None, None]  # the commonest spelling
    assert found.taxon_family.tolist() == ["Felidae", None, None]
    assert found.photos_train.tolist() == [2, 0, 0]
    assert found.photos_val.tolist() == [1, 0, 0]
    assert found.photos_test.tolist() == [1, 0, 1]


def test_a_cell_says_no_more_than_its_token():
    # Level 8 has 17 path bits above the marker, so five hexadecimal digits at most.
    assert len(to_token(cell(SERENGETI))) <= 5
