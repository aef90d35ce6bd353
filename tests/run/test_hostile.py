"""200 hostile or odd files among good ones: good ones are answered, bad ones have a reason."""

import csv
import json

import pytest
from hostile_files import GOOD, KINDS, make_hostile

from homerange.run.folder import predict


@pytest.fixture(scope="module")
def card(tmp_path_factory, make_photo):
    """A card of 40 good photos and 200 others."""
    folder = tmp_path_factory.mktemp("card")
    expected = make_hostile(folder, 200)
    for i in range(40):
        (folder / f"{i * 5:03}-good.jpg").write_bytes(make_photo((i * 6, 90, 200 - i)))
        expected[f"{i * 5:03}-good.jpg"] = GOOD
    return folder, expected


def test_the_card_is_as_hostile_as_it_says(card):
    folder, expected = card
    assert len(KINDS) > 30
    bad = [name for name, outcome in expected.items() if outcome != GOOD]
    assert len(bad) > 100
    assert len(list(folder.iterdir())) == 240


def test_every_good_photo_has_its_answer_and_every_bad_one_its_reason(card, package, out, tmp_path):
    folder, expected = card
    summary = predict(folder, model=package, output=out, workers=2)
    found = {image["file"]: image for image in json.loads(out.read_text())["images"]}
    assert set(found) == set(expected)
    for name, outcome in expected.items():
        failure = found[name].get("failure")
        if outcome == GOOD:
            assert failure is None, (name, failure)
            assert isinstance(found[name]["detections"], list)
        else:
            assert outcome in (failure or ""), (name, failure)
            assert str(tmp_path.parent) not in failure  # a reason tells no path of ours
    assert summary.failures == sum(outcome != GOOD for outcome in expected.values())
    assert summary.exit_code == 3


def test_names_that_no_spreadsheet_expects_come_back_from_every_table(card, package, out):
    folder, expected = card
    table = out.with_suffix(".csv")
    predict(folder, model=package, output=table, workers=2)
    with table.open(newline="", encoding="utf-8") as file:
        assert {row["file"] for row in csv.DictReader(file)} == set(expected)
