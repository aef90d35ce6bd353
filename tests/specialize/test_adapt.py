"""Corrections teach a package: better where the photos changed, refused where worse, honest words.

The network is an average colour, so what its class rows can learn is easy to foresee.
"""

import csv

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from homerange.data.images import Preprocessing, prepare
from homerange.errors import AdaptError, PackageError
from homerange.run.session import Session
from homerange.specialize.adapt.adapt import adapt
from homerange.specialize.adapt.refit import Rows, refit
from homerange.world.place_package import read_package, write_package

COLOURS = {"Panthera leo": (200, 60, 60), "Vulpes vulpes": (60, 200, 60), "blank": (60, 60, 200)}
LABELS = tuple(COLOURS)
NEW, NEW_COLOUR = "Lynx lynx", (200, 200, 60)
PX = 8
CARD = """\
# testland

**Not for legal, safety or anti-poaching decisions alone.** Somebody must check.

A model of 2 species.

## Run it

```
homerange predict PHOTOS --model testland.homerange -o results.json
```
"""


def model_of(weight_3C, *, first="Cast"):
    """Mean colour times class rows."""
    nodes = [
        helper.make_node(first, ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["unit"]),
        helper.make_node("ReduceMean", ["unit", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "weight"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
    ]
    classes = weight_3C.shape[1]
    tensors = {
        "scale": np.array([1 / 255], np.float32),
        "axes": np.array([1, 2]),
        "weight": weight_3C.astype(np.float32),
        "bias": np.zeros(classes, np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", PX, PX, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", classes])],
        [numpy_helper.from_array(values, name) for name, values in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def package_of(path, *, labels=LABELS, confused=True, **place):
    """A package of lion, fox and blank; one that is confused takes each for the next."""
    weight_3C = np.array([COLOURS[label] for label in labels]).T / 255 * 20
    if confused:
        weight_3C = np.roll(weight_3C, 1, axis=1)
    species = [label for label in labels if label != "blank"]
    write_package(
        path,
        place={
            "format": "homerange-place",
            "version": 1,
            "name": "testland",
            "created": "2026-01-02T03:04:05+00:00",
            "homerange": "0.1.0",
            "place": {"kind": "list", "species": species},
            "species": [{"species": name, "common_name": ""} for name in species],
            "outcomes": ["blank"],
            "labels": list(labels),
            "experts": {},
            "thresholds": {},
            "preprocessing": Preprocessing(input_px=PX, fit="squash").to_json(),
            "graph": {"input": "image", "output": "logits"},
            "parent": {"name": "world", "sha256": "0" * 64},
            "figures": {},
            **place,
        },
        members={
            "model.onnx": model_of(weight_3C).SerializeToString(),
            "labels.txt": "".join(f"{label}\n" for label in labels).encode(),
            "MODEL_CARD.md": CARD.encode(),
            "manifest.toml": b"",
        },
    )
    return path


def corrected(folder, *, photos=120, colours=COLOURS, wrong_from=None, times=None, extra=()):
    """Write photos of every label in turn and the CSV that corrects them.

    Args:
        folder: Where.
        photos: How many.
        colours: What is on them.
        wrong_from: Photos from this one on are called by the next label.
        times: Hour of each photo, for its column ``datetime``.
        extra: More rows of the table.
    """
    rng = np.random.default_rng(0)
    (folder / "photos").mkdir()
    names, rows = list(colours), []
    for i in range(photos):
        name = names[i % len(names)]
        rgb_HW3 = np.array(colours[name]) + rng.normal(0, 25, (20, 30, 3)) + rng.normal(0, 15, 3)
        file = f"{i:03}.png"
        Image.fromarray(rgb_HW3.clip(0, 255).astype(np.uint8)).save(folder / "photos" / file)
        if wrong_from is not None and i >= wrong_from:
            name = names[(i + 1) % len(names)]
        hour = "" if times is None else f"2026-03-{1 + times[i] // 24:02} {times[i] % 24:02}:00:00"
        rows.append((file, name, hour))
    with (folder / "corrections.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "species", "datetime"), *rows, *extra])
    return folder / "corrections.csv", folder / "photos"


def adapted(folder, *, add=(), package=None, **how):
    table, photos = corrected(folder, **how)
    old = package or package_of(folder / "old.homerange")
    return adapt(old, table, photos, folder / "new.homerange", add=add)


def refusal(error, folder, **how):
    with pytest.raises(error) as caught:
        adapted(folder, **how)
    assert not (folder / "new.homerange").exists()
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{folder}/")


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A package that took each label for the next, and its user's 120 corrections."""
    folder = tmp_path_factory.mktemp("learnt")
    return folder, adapted(folder)


def test_a_package_learns_what_its_user_corrected(learnt):
    folder, found = learnt
    assert (found.before.correct, found.after.correct) == (0, 40)
    assert (found.photos, found.judged) == (120, 40)
    session = Session.open(folder / "new.homerange")
    for label, colour in COLOURS.items():
        rgb_1HW3 = np.full((1, PX, PX, 3), colour, np.uint8)
        assert session.package.labels[session.probabilities(rgb_1HW3).argmax()] == label


def test_all_photos_teach_what_is_written_once_the_newest_agreed(learnt):
    folder, found = learnt
    old, new = (
        onnx.load_from_string(read_package(folder / f"{name}.homerange").model)
        for name in ("old", "new")
    )
    stored = {
        t.name: numpy_helper.to_array(t) for t in (*old.graph.initializer, *new.graph.initializer)
    }
    feature_ND = (
        np.stack(
            [
                prepare(folder / "photos" / f"{i:03}.png", Preprocessing(input_px=PX, fit="squash"))
                for i in range(120)
            ]
        ).mean((1, 2))
        / 255
    )
    rows = Rows(stored["weight"].T, stored["bias"])
    class_N = np.arange(120) % 3
    wanted = refit(rows, feature_ND.astype(np.float32), class_N, spread=found.spread)
    np.testing.assert_allclose(stored["head.classes.weight"], wanted.weight_CD, atol=1e-3)


def test_only_class_rows_change(learnt):
    folder, _ = learnt
    old, new = (
        onnx.load_from_string(read_package(folder / f"{name}.homerange").model)
        for name in ("old", "new")
    )
    assert [node.op_type for node in new.graph.node] == ["Cast", "Mul", "ReduceMean", "Gemm"]
    assert list(new.graph.node[:3]) == list(old.graph.node[:3])
    assert {t.name for t in new.graph.initializer} == {
        "scale",
        "axes",
        "head.classes.weight",
        "head.classes.bias",
    }


def test_the_new_package_names_its_parent_and_what_judged_it(learnt):
    folder, found = learnt
    old, new = (read_package(folder / f"{name}.homerange") for name in ("old", "new"))
    facts = new.place["adapted"]
    assert facts["parent"] == {"name": "testland", "sha256": old.sha256}
    assert (facts["judged"], facts["order"], facts["added"]) == (40, "file order", [])
    assert (facts["before"]["correct"], facts["after"]["correct"]) == (0, 40)
    assert new.place["parent"] == old.place["parent"]  # the world is still the same
    assert (new.sha256, new.name, new.place["version"]) == (found.sha256, "new", 2)


def test_the_card_tells_both_numbers_first_and_that_the_rest_is_older(learnt):
    from homerange.world.place_package import MEMBERS
    from homerange.world.sealed_zip import unpack

    folder, _ = learnt
    members = unpack((folder / "new.homerange").read_bytes(), MEMBERS)
    card = members["MODEL_CARD.md"].decode()
    assert card.startswith("# new\n\n**Not for legal, safety or anti-poaching decisions alone.**")
    assert card.index("## Adapted") < card.index("A model of 2 species.")
    assert "| as they were | 0 of 40 | 0.0% (0.0% to 8.8%) |" in card
    assert "| taught by the older photos | 40 of 40 | 100.0% (91.2% to 100.0%) |" in card
    assert "All other numbers on this card are of the package before its corrections." in card
    assert "--model new.homerange" in card


def test_the_same_corrections_give_the_same_model(learnt, tmp_path):
    folder, _ = learnt
    again = adapted(tmp_path)
    assert read_package(again.path).model == read_package(folder / "new.homerange").model


# A species that the package lacks


def test_a_species_that_nobody_listed_is_added_when_the_user_says_so(tmp_path):
    old = package_of(tmp_path / "old.homerange", confused=False)
    colours = COLOURS | {NEW: NEW_COLOUR}
    found = adapted(tmp_path, package=old, colours=colours, add=["lynx lynx"])
    assert found.labels == (*LABELS, NEW)
    assert (found.before.correct, found.after.correct) == (30, 40)
    session = Session.open(found.path)
    rgb_1HW3 = np.full((1, PX, PX, 3), NEW_COLOUR, np.uint8)
    assert session.package.labels[session.probabilities(rgb_1HW3).argmax()] == NEW
    row = session.package.place["species"][-1]
    assert (row["species"], row["class_index"]) == (NEW, None)
    assert row["reason"] == "added from your corrections"


def test_a_package_as_it_was_never_answers_the_added_species(tmp_path):
    # A row that is the mean of the others can win where all are below zero: it must not count.
    old = package_of(tmp_path / "old.homerange", confused=False)
    found = adapted(tmp_path, package=old, colours=COLOURS | {NEW: NEW_COLOUR}, add=[NEW])
    assert found.before.correct == 30  # 10 of the newest 40 are the lynx


def test_without_saying_so_the_species_is_left_out_and_told(tmp_path):
    old = package_of(tmp_path / "old.homerange", confused=False)
    found = adapted(tmp_path, package=old, colours=COLOURS | {NEW: NEW_COLOUR})
    assert found.labels == LABELS
    assert {one.reason for one in found.left_out} == {"'Lynx lynx' is no label of the package"}
    assert found.notes[0] == (
        "30 corrections left out: 'Lynx lynx' is no label of the package (30)"
    )


def test_a_species_with_few_corrections_is_not_added(tmp_path):
    assert refusal(AdaptError, tmp_path, add=[NEW]) == (
        "--add 'Lynx lynx': 0 of the older corrections show it; expected 5 or more"
    )


def test_a_label_that_is_there_is_not_added_again(tmp_path):
    assert refusal(AdaptError, tmp_path, add=["Panthera leo"]).startswith(
        "--add 'Panthera leo': the package has this label already"
    )


# Refusals


def test_a_package_that_would_be_worse_is_not_written(tmp_path):
    old = package_of(tmp_path / "old.homerange", confused=False)
    # The older 80 are called by the wrong names, and the newest 40 rightly.
    table, photos = corrected(tmp_path, wrong_from=0)
    rows = list(csv.reader(table.read_text().splitlines()))
    right = [(file, LABELS[int(file[:3]) % 3], time) for file, _, time in rows[81:]]
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([*rows[:81], *right])
    with pytest.raises(AdaptError) as caught:
        adapt(old, table, photos, tmp_path / "new.homerange")
    assert str(caught.value) == (
        f"{table}: the package would be worse and is not written: of the newest 40 photos (file "
        "order) it answers 40 rightly now and 0 after 80 corrections. Correct more photos, of all "
        "species, the right answers too"
    )
    assert not (tmp_path / "new.homerange").exists()


def test_the_newest_photos_are_those_of_the_latest_hours(tmp_path):
    # Hours fall from photo to photo, so the photos that judge stand first in the table; those
    # from 80 on, which teach here, have wrong names: by file order they would judge.
    hours = list(range(600, 480, -1))
    table, photos = corrected(tmp_path, wrong_from=40, times=hours)
    old = package_of(tmp_path / "old.homerange", confused=True)
    with pytest.raises(AdaptError, match=r"of the newest 40 photos \(time\) it answers"):
        adapt(
            package_of(tmp_path / "right.homerange", confused=False),
            table,
            photos,
            tmp_path / "new.homerange",
        )
    assert old.exists()


@pytest.mark.parametrize("photos", [12, 89])
def test_too_few_corrections_are_refused_with_their_number(tmp_path, photos):
    assert refusal(AdaptError, tmp_path, photos=photos) == (
        f"corrections.csv: {photos} corrections can be used. Their newest third, {photos // 3} "
        "photos, judges the result, and needs 30: correct about 90 photos, the right answers too"
    )


def test_photos_that_cannot_be_used_are_told_and_the_others_teach(tmp_path):
    extra = [("gone.png", "blank", ""), ("", "blank", ""), ("000.png", "unknown", "")]
    found = adapted(tmp_path, extra=extra)
    assert [one.image for one in found.left_out] == ["row 122", "000.png", "gone.png"]
    assert [one.reason for one in found.left_out] == [
        "names no file",
        "'unknown' is no label of the package",
        "there is no such file",
    ]
    assert found.photos == 120


def test_thresholds_of_the_old_rows_are_dropped_and_that_is_said(tmp_path, monkeypatch):
    from homerange.specialize.adapt import adapt as module

    real = module.read_package

    def with_thresholds(path):
        package = real(path)
        place = {**package.place, "thresholds": {"blank": 0.5}}
        object.__setattr__(package, "place", place)
        return package

    monkeypatch.setattr(module, "read_package", with_thresholds)
    found = adapted(tmp_path)
    assert (
        "thresholds of the package were dropped: they belong to the old class rows" in found.notes
    )
    assert real(found.path).place["thresholds"] == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "has the columns a, b; expected file and species"),
        ("", "has the columns nothing; expected file and species"),
        ('file,species\n"x\n', "cannot be read (unexpected end of data). Save it as CSV in UTF-8"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, text, words):
    (tmp_path / "c.csv").write_text(text)
    old = package_of(tmp_path / "old.homerange")
    with pytest.raises(AdaptError) as caught:
        adapt(old, tmp_path / "c.csv", tmp_path, tmp_path / "new.homerange")
    assert str(caught.value).removeprefix(f"{tmp_path}/c.csv: ").startswith(words)


def test_a_table_that_is_absent_is_refused(tmp_path):
    old = package_of(tmp_path / "old.homerange")
    with pytest.raises(AdaptError, match=r"cannot be read \(No such file or directory\)"):
        adapt(old, tmp_path / "none.csv", tmp_path, tmp_path / "new.homerange")


def test_a_package_without_class_rows_is_refused(tmp_path):
    old = package_of(tmp_path / "old.homerange")
    package = read_package(old)
    model = onnx.load_from_string(package.model)
    model.graph.node[-1].output[0] = "rows"
    model.graph.node.append(helper.make_node("Relu", ["rows"], ["logits"]))
    members = {
        "model.onnx": model.SerializeToString(),
        "labels.txt": "".join(f"{label}\n" for label in LABELS).encode(),
        "MODEL_CARD.md": b"# x\n",
        "manifest.toml": b"",
    }
    write_package(old, place=package.place, members=members)
    with pytest.raises(PackageError, match="its class rows cannot be found, so it cannot be adap"):
        adapted(tmp_path, package=old)


def test_the_package_itself_and_other_files_are_not_replaced(tmp_path):
    table, photos = corrected(tmp_path, photos=3)
    old = package_of(tmp_path / "old.homerange")
    with pytest.raises(PackageError, match="is read too"):
        adapt(old, table, photos, old)
    with pytest.raises(PackageError, match="there is no folder"):
        adapt(old, table, photos, tmp_path / "none/new.homerange")
    with pytest.raises(PackageError):
        adapt(old, table, photos, table)
    assert table.read_text().startswith("file,species")
