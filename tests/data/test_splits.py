"""Splits: nothing that belongs together is divided, and every species comes near its shares."""

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homerange.data.manifest import SPLITS, Manifest, schema
from homerange.data.splits import assign_splits, groups_N
from homerange.errors import ConfigError, ManifestError

START = datetime(2020, 6, 1, 12, 0, 0)


def manifest_of(rows):
    named = [{"image": f"{i}.jpg", "observation_id": str(i)} | row for i, row in enumerate(rows)]
    return Manifest(pa.Table.from_pylist(named, schema=schema()), Path())


def photos(species, number, **cells):
    return [{"species": species, **cells} for _ in range(number)]


def at(second, **cells):
    return {"datetime": (START + timedelta(seconds=second)).isoformat(), **cells}


def count(manifest, names):
    """Rows of each species in train, val and test."""
    found = defaultdict(lambda: [0, 0, 0])
    for species, name in zip(manifest.strings("species"), names, strict=True):
        found[species][SPLITS.index(name)] += 1
    return dict(found)


def together(manifest):
    """The groups by their definition, slowly: walk from row to row over everything shared."""
    rows = manifest.table.to_pylist()

    def burst(one, other):
        if None in (one["datetime"], other["datetime"]) or one["region_id"] != other["region_id"]:
            return False
        times = (datetime.fromisoformat(row["datetime"]) for row in (one, other))
        first, second = times
        return abs((first - second).total_seconds()) <= 60

    def bare(row):
        return row["location_id"] is None and row["sequence_id"] is None

    open_sequences = {row["sequence_id"] for row in rows if row["location_id"] is None}

    def joined(one, other):
        same = {key for key in one if one[key] is not None and one[key] == other[key]}
        return (
            "image" in same
            or "location_id" in same
            or ("sequence_id" in same and one["sequence_id"] in open_sequences)
            or (bare(one) and bare(other) and burst(one, other))
        )

    group = [-1] * len(rows)
    for start in range(len(rows)):
        queue = [start] if group[start] < 0 else []
        while queue:
            i = queue.pop()
            if group[i] < 0:
                group[i] = start
                queue += [j for j in range(len(rows)) if group[j] < 0 and joined(rows[i], rows[j])]
    return group


ROW = st.fixed_dictionaries(
    {
        "species": st.sampled_from(["Panthera leo", "Loxodonta africana", "blank", None]),
        "location_id": st.none() | st.sampled_from(["c1", "c2", "c3"]),
        "sequence_id": st.none() | st.sampled_from(["s1", "s2", "s3", "s4"]),
        "region_id": st.none() | st.sampled_from(["north", "south"]),
        "datetime": st.none()
        | st.integers(0, 40).map(lambda n: (START + timedelta(seconds=20 * n)).isoformat()),
        "image": st.integers(0, 30).map("photo {}.jpg".format),
    }
)


@given(st.lists(ROW, min_size=1, max_size=25))
@settings(deadline=None)
def test_groups_are_those_of_the_definition(rows):
    manifest = manifest_of(rows)
    ours, slow = groups_N(manifest).tolist(), together(manifest)
    # The same partition: the pairs of labels are one to one.
    assert len(set(ours)) == len(set(slow)) == len(set(zip(ours, slow, strict=True)))


@given(st.lists(ROW, min_size=1, max_size=40), st.integers(0, 3))
@settings(deadline=None)
def test_no_image_camera_sequence_or_burst_is_on_two_sides(rows, seed):
    manifest = manifest_of(rows)
    names = assign_splits(manifest, seed=seed).names
    sides = defaultdict(set)
    for row, name in zip(manifest.table.to_pylist(), names, strict=True):
        sides["image", row["image"]].add(name)
        if row["location_id"] is not None:
            sides["camera", row["location_id"]].add(name)
        elif row["sequence_id"] is not None:
            sides["sequence", row["sequence_id"]].add(name)
    assert all(len(side) == 1 for side in sides.values())
    for group in set(together(manifest)):
        members = [i for i, other in enumerate(together(manifest)) if other == group]
        assert len({names[i] for i in members}) == 1


@given(st.lists(ROW, min_size=1, max_size=30), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_the_rows_does_not_matter(rows, random):
    manifest = manifest_of(rows)
    order = list(range(len(rows)))
    random.shuffle(order)
    shuffled = Manifest(manifest.table.take(pa.array(order)), Path())
    one, two = assign_splits(manifest, seed=1), assign_splits(shuffled, seed=1)
    assert [one.names[i] for i in order] == two.names
    assert one.notes == two.notes


def test_a_chain_of_gaps_up_to_60_seconds_is_one_burst():
    # Gaps: 60, 60, 61 seconds; then the same second in another region.
    seconds = [(0, "a"), (60, "a"), (120, "a"), (181, "a"), (181, "b")]
    manifest = manifest_of([at(second, region_id=region) for second, region in seconds])
    first, second, third, later, elsewhere = groups_N(manifest).tolist()
    assert first == second == third
    assert len({first, later, elsewhere}) == 3


def test_photos_without_time_and_with_a_bare_date_stand_alone():
    rows = [{}, {}, {"datetime": "2020-06-01"}, {"datetime": "2020-06-01"}]
    assert len(set(groups_N(manifest_of(rows)).tolist())) == 4


def test_offsets_count_when_bursts_are_found():
    # 12:00:00 at +02:00 and 10:00:30 at +00:00 are 30 seconds apart.
    rows = [{"datetime": "2020-06-01T12:00:00+02:00"}, {"datetime": "2020-06-01T10:00:30+00:00"}]
    assert len(set(groups_N(manifest_of(rows)).tolist())) == 1


def test_two_cameras_that_number_their_sequences_alike_stay_two_groups():
    rows = [{"location_id": camera, "sequence_id": "1"} for camera in ("north", "south")]
    assert len(set(groups_N(manifest_of(rows)).tolist())) == 2


@pytest.mark.parametrize(
    ("number", "expected"),
    [(1, [[1, 0, 0]]), (3, [[2, 1, 0], [2, 0, 1]]), (5, [[3, 1, 1]]), (20, [[14, 3, 3]])],
)
def test_a_species_of_single_photos_is_shared_out_as_arithmetic_says(number, expected):
    # 70/15/15 of 3 is 2.1, 0.45, 0.45; of 5 is 3.5, 0.75, 0.75; of 20 is 14, 3, 3. One photo
    # goes to train, because a class is learnt from at least one.
    manifest = manifest_of(photos("Panthera leo", number))
    assert count(manifest, assign_splits(manifest, seed=0).names)["Panthera leo"] in expected


def test_many_small_species_come_to_70_15_15_together_and_all_reach_train():
    rows = [row for i in range(200) for row in photos(f"Species {i:03}", 2 + i % 4)]
    manifest = manifest_of(rows)
    names = assign_splits(manifest, seed=0).names
    # 50 species each of 2, 3, 4 and 5 photos: 700 photos, so 490, 105 and 105.
    assert Counter(names) == {"train": 490, "val": 105, "test": 105}
    assert all(train >= 1 for train, _, _ in count(manifest, names).values())
    assert all(rows[0] >= 2 for rows in count(manifest, names).values() if sum(rows) == 3)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shares_stay_near_when_cameras_hold_many_species(seed):
    random = np.random.default_rng(seed)
    species = [f"Species {i}" for i in range(12)]
    weight = 1 / np.arange(1, 13)
    rows = []
    for camera in range(120):
        here = random.choice(12, size=4, replace=False, p=weight / weight.sum())
        for _ in range(int(random.integers(5, 40))):
            rows.append({"species": species[random.choice(here)], "location_id": f"{camera}"})
    manifest = manifest_of(rows)
    for train, val, test in count(manifest, assign_splits(manifest, seed=seed).names).values():
        total = train + val + test
        assert train / total == pytest.approx(0.70, abs=0.10)
        assert val / total == pytest.approx(0.15, abs=0.08)
        assert test / total == pytest.approx(0.15, abs=0.08)


def test_common_species_of_the_first_bursts_do_not_send_all_rare_ones_to_train():
    # 40 rare species, each in 10 bursts beside the one common species.
    rows = [
        {"species": name, "sequence_id": f"{i}-{j}"}
        for i in range(40)
        for j in range(10)
        for name in (f"Rare {i}", "Common")
    ]
    manifest = manifest_of(rows)
    found = count(manifest, assign_splits(manifest, seed=0).names)
    assert all(
        6 <= train <= 8 and val and test for train, val, test in found.values() if train < 50
    )


def test_a_rare_species_has_more_say_in_a_burst_than_a_common_one():
    # The common species has 10 rows too many in test, but 970 single photos to make up for it.
    rows = [
        *photos("Common", 10, split="test"),
        *photos("Common", 970),
        *(
            {"species": name, "sequence_id": f"{i}"}
            for i in range(20)
            for name in ("Rare", "Common")
        ),
    ]
    manifest = manifest_of(rows)
    found = count(manifest, assign_splits(manifest, seed=0).names)
    # 70/15/15 of 20 and of 1,000
    assert found == {"Rare": [14, 3, 3], "Common": [700, 150, 150]}


def test_the_seed_chooses_the_photos_and_the_same_seed_chooses_the_same():
    manifest = manifest_of(photos("Panthera leo", 40))
    one, again, other = (assign_splits(manifest, seed=seed).names for seed in (0, 0, 1))
    assert one == again
    assert one != other
    assert Counter(one) == Counter(other)


def test_fractions_can_be_others_and_a_zero_gives_none():
    manifest = manifest_of(photos("Panthera leo", 11))
    names = assign_splits(manifest, fractions=(0.5, 0.5, 0), seed=0).names
    assert sorted(Counter(names).values()) == [5, 6]
    assert "test" not in names


@pytest.mark.parametrize("fractions", [(0.7, 0.3), (0.7, 0.2, 0.2), (1.2, -0.1, -0.1)])
def test_fractions_that_are_no_shares_are_refused(fractions):
    with pytest.raises(ConfigError, match="expected three that add up to 1"):
        assign_splits(manifest_of([{}]), fractions=fractions, seed=0)


def test_given_splits_are_kept_and_their_cameras_follow():
    rows = [
        *photos("Panthera leo", 3, location_id="c1", split="test"),
        *photos("Panthera leo", 3, location_id="c1"),
        *photos("Panthera leo", 14),
    ]
    names = assign_splits(manifest_of(rows), seed=0).names
    assert names[:6] == ["test"] * 6
    # 6 of 20 are in test, which should have 3: what is left is 14 for train and val, 14 : 3.
    # 14 * 14 / 17 = 11.53 and 14 * 3 / 17 = 2.47: one photo more goes to one of them.
    assert Counter(names[6:]) in ({"train": 12, "val": 2}, {"train": 11, "val": 3})


def test_a_camera_that_the_table_gives_to_two_sides_is_kept_and_told():
    rows = [{"location_id": "c1", "split": name} for name in ("train", "test", None)]
    splits = assign_splits(manifest_of(rows), seed=0)
    assert splits.names == ["train", "test", "train"]
    assert (
        "1 cameras, sequences or bursts are on two sides of the splits that the table gives: "
        "val and test will look too good"
    ) in splits.notes


def test_a_split_of_another_name_is_refused():
    with pytest.raises(ManifestError, match="no split is named 'dev'; expected one of train, val"):
        assign_splits(manifest_of([{"split": "dev"}]), seed=0)


def test_an_empty_manifest_has_empty_splits():
    assert assign_splits(manifest_of([]), seed=0).names == []


def test_notes_name_what_cannot_be_learnt_or_measured():
    rows = [
        *photos("Panthera leo", 8, location_id="c1"),
        *photos("Loxodonta africana", 3, location_id="c2", split="test"),
        *photos("blank", 1, location_id="c3"),
    ]
    assert assign_splits(manifest_of(rows), seed=0).notes == [
        "1 splits have no rows: too few cameras, sequences or photos to divide: val",
        "1 species have fewer than 5 photos: Loxodonta africana",
        "1 species have no photo in train and cannot be learnt: Loxodonta africana",
        "1 species have no photo in val or test and cannot be measured: Panthera leo",
    ]


def test_a_split_that_the_data_set_does_not_have_is_named_as_such():
    rows = [*photos("blank", 2, split="train"), *photos("blank", 2, split="val")]
    assert "1 splits have no rows: the data set gives none: test" in (
        assign_splits(manifest_of(rows), seed=0).notes
    )


def test_long_lists_of_species_are_cut():
    notes = assign_splits(
        manifest_of([{"species": f"Species {i}"} for i in range(8)]), seed=0
    ).notes
    few = (
        "8 species have fewer than 5 photos: Species 0, Species 1, Species 2, Species 3, Species 4"
    )
    assert f"{few} and 3 more" in notes


def test_photos_without_cameras_and_bursts_of_many_species_are_told():
    rows = [at(second, species=f"Species {second}") for second in range(6)]
    notes = assign_splits(manifest_of(rows), seed=0).notes
    assert notes[0].startswith("6 rows have no camera: they are kept together by time only")
    assert notes[1].startswith("6 rows are in 1 bursts of more than 5 species")
