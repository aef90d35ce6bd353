"""The place package: what is written is read back, and nothing else is let in."""

import hashlib
import json
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homerange.data.images import Preprocessing
from homerange.errors import PackageError
from homerange.world import place_package, sealed_zip
from homerange.world.place_package import MEMBERS, read_package, write_package

LABELS = ["Vulpes vulpes", "Panthera leo", "blank"]


def a_place(**changes):
    return {
        "format": "homerange-place",
        "version": 2,
        "name": "serengeti",
        "created": "2026-01-02T03:04:05+00:00",
        "homerange": "0.1.0",
        "species": [
            {"species": "Panthera leo", "common_name": "lion"},
            {"species": "Vulpes vulpes", "common_name": None},
        ],
        "outcomes": ["blank"],
        "labels": LABELS,
        "preprocessing": Preprocessing(input_px=64).to_json(),
        "graph": {"input": "image", "output": "logits"},
        **changes,
    }


def the_members(labels=LABELS, model=b"weights" * 100):
    return {
        "model.onnx": model,
        "labels.txt": "".join(f"{label}\n" for label in labels).encode(),
        "MODEL_CARD.md": b"# A card\n",
        "manifest.toml": b"[model]\n",
    }


@pytest.fixture
def package(tmp_path):
    path = tmp_path / "serengeti.homerange"
    write_package(path, place=a_place(), members=the_members())
    return path


def contents(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def with_place(package, **changes):
    """Change place.json behind the back of the writer."""
    members = contents(package)
    place = {**json.loads(members["place.json"]), **changes}
    return zipped(package, {**members, "place.json": json.dumps(place)})


def refusal(path):
    with pytest.raises(PackageError) as caught:
        read_package(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


def test_what_is_written_is_read_back(package):
    got = read_package(package)
    assert got.name == "serengeti"
    assert got.labels == tuple(LABELS)  # class order, which is not the order of the alphabet
    assert got.outcomes == ("blank",)
    assert got.common_names == {"Panthera leo": "lion", "Vulpes vulpes": ""}
    assert got.preprocessing == Preprocessing(input_px=64)
    assert (got.input_name, got.output_name) == ("image", "logits")
    assert got.model == b"weights" * 100
    assert got.place["created"] == "2026-01-02T03:04:05+00:00"


def test_the_digest_is_that_of_the_file(tmp_path):
    path = tmp_path / "a.homerange"
    digest = write_package(path, place=a_place(), members=the_members())
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest() == read_package(path).sha256


def test_the_same_content_gives_the_same_bytes_in_any_order_and_at_any_time(tmp_path, monkeypatch):
    one, two = tmp_path / "one.homerange", tmp_path / "two.homerange"
    write_package(one, place=a_place(), members=the_members())
    monkeypatch.setattr("time.time", lambda: 2e9)
    backwards = dict(reversed(the_members().items()))
    write_package(two, place=a_place(), members=backwards)
    assert one.read_bytes() == two.read_bytes()
    assert [info.date_time for info in zipfile.ZipFile(one).infolist()] == [
        (1980, 1, 1, 0, 0, 0)
    ] * 5


def test_place_json_holds_hash_and_bytes_of_every_other_member(package):
    members = contents(package)
    files = json.loads(members["place.json"])["files"]
    assert files == {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for name, data in members.items()
        if name != "place.json"
    }


def test_a_package_zipped_again_with_compression_is_still_read(package):
    zipped(package, contents(package), zipfile.ZIP_DEFLATED)
    assert read_package(package).labels == tuple(LABELS)


def test_nothing_is_written_when_a_member_is_missing_or_given_twice(tmp_path):
    path = tmp_path / "a.homerange"
    with pytest.raises(PackageError, match=r"is written from the members .*got \['labels.txt'\]"):
        write_package(path, place=a_place(), members={"labels.txt": b""})
    with pytest.raises(PackageError, match=r"place.json is made from the argument place"):
        write_package(path, place=a_place(), members={**the_members(), "place.json": b"{}"})
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_cannot_be_read_back_does_not_replace_a_good_one(package, tmp_path):
    before = package.read_bytes()
    with pytest.raises(PackageError, match=r"labels.txt and place.json list different labels"):
        write_package(package, place=a_place(), members=the_members(labels=LABELS[::-1]))
    assert package.read_bytes() == before
    assert list(tmp_path.iterdir()) == [package]


def test_a_missing_file_says_what_was_expected(tmp_path):
    message = refusal(tmp_path / "none.homerange")
    assert "cannot be opened (No such file or directory)" in message
    assert "homerange get" in message


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x05\x06" + bytes(17)])
def test_a_file_that_is_no_zip_is_refused(tmp_path, data):
    path = tmp_path / "a.homerange"
    path.write_bytes(data)
    assert "expected an undamaged zip file" in refusal(path)


def test_a_truncated_download_is_refused(package):
    package.write_bytes(package.read_bytes()[:-100])
    assert "expected an undamaged zip file" in refusal(package)


def test_a_member_with_another_hash_is_named_with_both_hashes(package):
    good = hashlib.sha256(b"weights" * 100).hexdigest()
    bad = hashlib.sha256(b"Weights" * 100).hexdigest()
    zipped(package, {**contents(package), "model.onnx": b"Weights" * 100})
    message = refusal(package)
    assert "model.onnx is not the file that was packed" in message
    assert good in message
    assert bad in message


@pytest.mark.parametrize("name", sorted(set(MEMBERS) - {"place.json"}))
def test_every_member_is_verified(package, name):
    zipped(package, {**contents(package), name: contents(package)[name] + b"\n"})
    assert f"{name} is not the file that was packed" in refusal(package)


def test_a_package_of_version_1_is_still_read(package):
    assert read_package(with_place(package, version=1)).place["version"] == 1


def test_another_version_says_what_to_do(package):
    message = refusal(with_place(package, version=3, homerange="0.9.0"))
    assert "place package of version 3; homerange" in message
    assert "reads versions 1 and 2. " in message
    assert "(0.9.0), or make it again with: homerange get" in message


def test_a_package_of_version_1_is_read_and_cannot_have_learnt_corrections(package):
    assert read_package(with_place(package, version=1)).place["version"] == 1
    assert read_package(with_place(package, version=2, adapted={})).place["adapted"] == {}
    message = refusal(with_place(package, version=1, adapted={}))
    assert "place.json has the key 'adapted', which homerange" in message


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"crop": {"bottom": 0.1}}, "crop"),
        ({"zoom": 2, "crop": {}}, "crop"),  # the first of the alphabet
        ({"graph": {"input": "image", "output": "logits", "mask": "m"}}, "graph.mask"),
    ],
)
def test_a_key_that_nobody_knows_is_refused_rather_than_ignored(package, changes, key):
    message = refusal(with_place(package, homerange="0.1.9", **changes))
    assert f"place.json has the key {key!r}, which homerange" in message
    assert "does not know and cannot obey" in message
    assert "(0.1.9), or make it again with: homerange get" in message


def test_thresholds_are_refused_as_long_as_nobody_applies_them(package):
    assert read_package(with_place(package, thresholds={})).place["thresholds"] == {}
    message = refusal(with_place(package, thresholds={"Panthera leo": 0.7}))
    assert "place.json has thresholds, which homerange" in message
    assert "does not apply; expected none. Install the homerange that made it (0.1.0)" in message


def test_experts_may_say_anything_about_the_model(package):
    experts = {"layers": [{"kept": [0, 3]}]}
    assert read_package(with_place(package, experts=experts)).place["experts"] == experts


def test_a_package_of_the_last_version_is_still_read(package):
    assert read_package(with_place(package, version=1)).place["version"] == 1


def test_levers_are_an_object(package):
    levers = {"chosen_by": "as asked for"}
    assert read_package(with_place(package, levers=levers)).place["levers"] == levers
    assert "place.json lacks the object 'levers'" in refusal(with_place(package, levers=[8]))


def test_what_this_version_cannot_obey_is_never_written(tmp_path):
    path = tmp_path / "a.homerange"
    for changes in ({"crop": 1}, {"thresholds": {"blank": 0.5}}):
        with pytest.raises(PackageError, match=r"place.json has "):
            write_package(path, place=a_place(**changes), members=the_members())
    assert list(tmp_path.iterdir()) == []


def test_another_format_is_refused(package):
    expected = 'place.json does not say "format": "homerange-place"'
    assert expected in refusal(with_place(package, format="zip"))
    assert expected in refusal(zipped(package, {**contents(package), "place.json": b"[]"}))


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a": NaN}'])
def test_a_place_json_that_is_no_json_is_refused(package, text):
    zipped(package, {**contents(package), "place.json": text})
    assert "place.json is not JSON" in refusal(package)


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/model.onnx", "MODEL.ONNX", "C:\\x"])
def test_any_other_member_is_refused_by_name(package, name):
    zipped(package, {**contents(package), name: b"x"})
    assert f"holds {name!r}, expected only MODEL_CARD.md, labels.txt" in refusal(package)


def test_a_member_that_occurs_twice_is_refused(package):
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(package, "a") as archive:
        archive.writestr("model.onnx", b"another model")
    assert "holds a member twice" in refusal(package)


@pytest.mark.parametrize("name", MEMBERS)
def test_a_missing_member_is_named(package, name):
    zipped(package, {k: v for k, v in contents(package).items() if k != name})
    assert f"lacks {name}." in refusal(package)


def test_a_zip_bomb_is_refused_before_it_unpacks(package, monkeypatch):
    bomb = {**contents(package), "model.onnx": bytes(20_000_000)}
    zipped(package, bomb, zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(zipfile.ZipFile, "read", None)
    assert "model.onnx grows from" in refusal(package)
    assert "expected <= 100 times" in refusal(package)


def test_a_package_that_unpacks_to_too_much_is_refused_before_it_unpacks(package, monkeypatch):
    monkeypatch.setattr(sealed_zip, "MAX_TOTAL_BYTES", package.stat().st_size)
    zipped(package, {**contents(package), "model.onnx": b"ab" * 5_000}, zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(zipfile.ZipFile, "read", None)
    assert "unpacks to" in refusal(package)


def test_a_huge_place_json_is_not_parsed(package, monkeypatch):
    monkeypatch.setattr(place_package, "MAX_PLACE_JSON_BYTES", 1000)
    assert "bytes; expected <= 1,000" in refusal(package)


def test_a_huge_file_is_refused_before_it_is_read(package, monkeypatch):
    monkeypatch.setattr(place_package, "MAX_TOTAL_BYTES", 1000)
    message = refusal(package)
    assert f"{package.stat().st_size:,} bytes; a place package has at most 1,000" in message


def test_a_size_that_the_header_understates_is_not_believed(package):
    # zipfile then stops at that size, and the check sum gives the lie away.
    data = zipped(package, contents(package), zipfile.ZIP_DEFLATED).read_bytes()
    true, false = (700).to_bytes(4, "little"), (699).to_bytes(4, "little")
    assert data.count(true) == 2  # one local header, one in the directory
    package.write_bytes(data.replace(true, false))
    assert "expected an undamaged zip file" in refusal(package)


def test_other_ways_of_packing_are_refused(package):
    zipped(package, contents(package), zipfile.ZIP_BZIP2)
    assert "is packed by method 12, expected stored or deflated" in refusal(package)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": []}, "has 0 labels, 0 of them different"),
        ({"labels": [*LABELS, "blank"]}, "has 4 labels, 3 of them different"),
        ({"labels": ["a\nb"]}, "label 'a\\nb' is empty or has two lines"),
        ({"labels": "blank"}, "lacks the list of texts 'labels'"),
        ({"labels": [1]}, "lacks the list of texts 'labels'"),
        ({"labels": LABELS[1:]}, "'Vulpes vulpes' is not in both place.json's labels and"),
        ({"labels": LABELS[::-1]}, "labels.txt and place.json list different labels"),
        ({"outcomes": []}, "'blank' is not in both"),
        ({"outcomes": ["empty"]}, "outcome 'empty' is unknown; expected blank, person, vehicle"),
        ({"species": {}}, "lacks the list 'species'"),
        ({"species": [{"common_name": "lion"}]}, "has a species without a name"),
        ({"name": ""}, "lacks the text 'name'"),
        ({"graph": None}, "lacks the object 'graph'"),
        ({"graph": {"input": "image"}}, "lacks the text 'output'"),
        ({"preprocessing": []}, "lacks the object 'preprocessing'"),
        ({"preprocessing": {"sharpen": 3}}, "cannot prepare photos as the package asks"),
        ({"experts": []}, "lacks the object 'experts'"),
        ({"thresholds": []}, "lacks the object 'thresholds'"),
        ({"files": None}, "lacks the object 'files'"),
        ({"files": {"model.onnx": {}}}, "gives hashes of ['model.onnx']"),
    ],
)
def test_a_place_json_that_breaks_the_contract_is_refused(package, changes, message):
    assert message in refusal(with_place(package, **changes))


@given(data=st.data())
def test_damage_of_any_byte_is_refused_or_harmless(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("fuzz") / "a.homerange"
    write_package(path, place=a_place(), members=the_members(model=b"ab"))
    good, whole = read_package(path), bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(whole)
    try:
        got = read_package(path)
    except PackageError:
        return
    # A time stamp of the zip, say. (A space in place.json is caught by the zip's own check sum.)
    assert (got.place, got.model, got.labels) == (good.place, good.model, good.labels)


@pytest.mark.parametrize("value", [float("nan"), b"bytes"])
def test_what_json_cannot_say_never_gets_into_place_json(tmp_path, value):
    path = tmp_path / "a.homerange"
    with pytest.raises(PackageError, match=r"place.json cannot be written as JSON: "):
        write_package(path, place=a_place(figures=value), members=the_members())
    assert list(tmp_path.iterdir()) == []
