"""Each format of results passes the judge that its readers trust, and holds what we stamp."""

import copy
import csv
import io
import json
import re
from pathlib import Path

import duckdb
import numpy as np
import pytest
from camtrap_judges import (
    judged_by_frictionless,
    judged_by_the_profile,
    needs_standards,
    schema,
    standards,
)

from homerange.errors import ConfigError, ExtraNotInstalled, RunError
from homerange.run.answers import Answer, Burst, Video
from homerange.run.folder import predict
from homerange.run.ranking import ranked
from homerange.run.results.camtrap_columns import COLUMNS
from homerange.run.results.fieldwork import Fieldwork, parse_utc_offset, read_deployments
from homerange.run.results.formats import FORMATS, write_results
from homerange.run.results.speciesnet import prediction, write_speciesnet
from homerange.run.results.stamp import stamp
from homerange.run.results.wildlife_insights import WI_COLUMNS
from homerange.run.sources import Photo
from homerange.run_verbs import FORMATS as OFFERED
from homerange.world.place_package import read_package

LABELS = ("Panthera leo", "Vulpes vulpes", "Canis", "person", "vehicle", "blank")
NAIROBI = Fieldwork(utc_offset=parse_utc_offset("+03:00"))
FILE_PATH = r"(?=^[^./~])(^((?!\.{2}).)*$).*"  # the pattern of the standard
BURST = Burst("oak/1.jpg", 2, "2024-05-06T07:08:09", "2024-05-06T07:08:19", ((0, 0.8), (5, 0.2)))


@pytest.fixture(scope="module")
def place(tmp_path_factory, make_package):
    folder = tmp_path_factory.mktemp("place")
    return read_package(make_package(folder / "here.homerange", labels=LABELS))


@pytest.fixture(autouse=True)
def own_limit():
    """Put back what frictionless changes for the whole process when it is imported."""
    limit = csv.field_size_limit()
    yield
    csv.field_size_limit(limit)


def answer(name, index, **facts):
    share_C = np.full(6, 0.02, np.float32)
    share_C[index] = 0.9
    return ranked(Answer(name, (1, 2), **facts), share_C, LABELS)


TIME = {"datetime": "2024-05-06T07:08:09"}
ANSWERS = [
    answer("oak/1.jpg", 0, burst=BURST, **TIME),
    answer("oak/2.jpg", 1, burst=BURST, datetime="2024-05-06T07:08:19"),
    answer("oak/person.jpg", 3, datetime="2024-05-07T07:08:09.25"),
    answer("elm/blank.jpg", 5, **TIME),
    answer("elm/dog.jpg", 2, datetime="2024-05-06T05:00:00-01:00"),
    answer('elm/a "b",\nc..d.jpg', 4, **TIME),
    answer("/abs/film.mp4", 1, video=Video(10.0, (0, 10), 10), **TIME),
    answer("top.jpg", 1, **TIME),
    answer("timeless.jpg", 1),
    answer("day.jpg", 1, datetime="2024-05-06"),
    Answer("bad.jpg", failure="the file is empty (0 bytes)"),
]
PAIRS = [(Photo(a.file, Path("/photos") / a.file), a) for a in ANSWERS]


def written(format, place, folder, pairs=PAIRS, fieldwork=NAIROBI, name="results"):
    write_results(format, folder / name, place, iter(pairs), fieldwork)
    return folder / name


def test_the_command_line_offers_every_format():
    assert OFFERED == FORMATS


# --- Camtrap DP -------------------------------------------------------------------------------


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def by(rows, key):
    return {row[key]: row for row in rows}


@needs_standards
def test_frictionless_and_the_profile_accept_the_camtrap_package(place, tmp_path):
    folder = written("camtrap-dp", place, tmp_path)
    assert judged_by_frictionless(folder) == []
    assert judged_by_the_profile(folder) == []


@needs_standards
@pytest.mark.parametrize(
    ("file", "was", "becomes"),
    [
        ("observations.csv", ",human,", ",person,"),
        ("media.csv", "+0300", ""),
        ("media.csv", "mediaID,", "medium,"),
        ("deployments.csv", "\nelm,", "\noak,"),
    ],
)
def test_frictionless_finds_what_we_break(place, tmp_path, file, was, becomes):
    folder = written("camtrap-dp", place, tmp_path)
    text = (folder / file).read_text()
    assert was in text
    (folder / file).write_text(text.replace(was, becomes))
    assert judged_by_frictionless(folder)


@needs_standards
@pytest.mark.parametrize("key", ["created", "spatial", "project"])
def test_the_profile_finds_what_we_leave_out(place, tmp_path, key):
    folder = written("camtrap-dp", place, tmp_path)
    description = json.loads((folder / "datapackage.json").read_text())
    del description[key]
    (folder / "datapackage.json").write_text(json.dumps(description))
    assert judged_by_the_profile(folder)


@needs_standards
def test_our_columns_are_those_of_the_standard():
    for name, columns in COLUMNS.items():
        fields = schema(f"{name}-table-schema")["fields"]
        assert columns == [field["name"] for field in fields]


def test_the_camtrap_package_worked_out_by_hand(place, tmp_path):
    folder = written("camtrap-dp", place, tmp_path)
    media = by(table(folder / "media.csv"), "mediaID")
    assert list(media) == [a.file for a in ANSWERS[:8]]
    lion = media["oak/1.jpg"]
    assert list(lion) == COLUMNS["media"]
    assert {k: v for k, v in lion.items() if v} == {
        "mediaID": "oak/1.jpg",
        "deploymentID": "oak",
        "timestamp": "2024-05-06T07:08:09+0300",
        "filePath": "oak/1.jpg",
        "filePublic": "false",
        "fileName": "1.jpg",
        "fileMediatype": "image/jpeg",
    }
    assert media["elm/dog.jpg"]["timestamp"] == "2024-05-06T05:00:00-0100"
    assert media["/abs/film.mp4"]["filePath"] == "file:///abs/film.mp4"
    assert media["/abs/film.mp4"]["fileMediatype"] == "video/mp4"
    odd = media['elm/a "b",\nc..d.jpg']["filePath"]
    assert odd == "file:///photos/elm/a%20%22b%22%2C%0Ac%2E%2Ed.jpg"
    assert all(re.fullmatch(FILE_PATH, medium["filePath"]) for medium in media.values())
    seen = by(table(folder / "observations.csv"), "observationID")
    assert {k: v for k, v in seen["oak/2.jpg#1"].items() if v} == {
        "observationID": "oak/2.jpg#1",
        "deploymentID": "oak",
        "mediaID": "oak/2.jpg",
        "eventID": "oak/1.jpg",
        "eventStart": "2024-05-06T07:08:09+0300",
        "eventEnd": "2024-05-06T07:08:19+0300",
        "observationLevel": "media",
        "observationType": "animal",
        "scientificName": "Vulpes vulpes",
        "classificationMethod": "machine",
        "classifiedBy": seen["oak/2.jpg#1"]["classifiedBy"],
        "classificationProbability": "0.9000",
    }
    assert place.sha256[:12] in seen["oak/2.jpg#1"]["classifiedBy"]
    event = seen["oak/1.jpg#event"]
    assert (event["observationLevel"], event["mediaID"]) == ("event", "")
    assert event["scientificName"] == "Panthera leo"
    assert event["classificationProbability"] == "0.8000"
    kinds = {key: row["observationType"] for key, row in seen.items()}
    assert kinds["oak/person.jpg#1"] == "human"
    assert kinds["elm/blank.jpg#1"] == "blank"
    assert kinds['elm/a "b",\nc..d.jpg#1'] == "vehicle"
    assert seen["oak/person.jpg#1"]["scientificName"] == ""
    assert len(seen) == 9


def test_a_camtrap_deployment_has_the_place_of_the_package_and_its_radius(place, tmp_path):
    folder = written("camtrap-dp", place, tmp_path)
    deployments = by(table(folder / "deployments.csv"), "deploymentID")
    assert set(deployments) == {"oak", "elm", "/abs", "top"}
    oak, elm = deployments["oak"], deployments["elm"]
    assert (oak["latitude"], oak["longitude"]) == ("-2.33000", "34.83000")
    assert oak["coordinateUncertainty"] == "100000"
    assert oak["deploymentStart"] == "2024-05-06T07:08:09+0300"
    assert oak["deploymentEnd"] == "2024-05-07T07:08:09+0300"
    # 07:08:09 at +03:00 is 04:08:09 UTC, before 05:00:00 at -01:00, which is 06:00:00 UTC.
    assert elm["deploymentStart"] == "2024-05-06T07:08:09+0300"
    assert elm["deploymentEnd"] == "2024-05-06T05:00:00-0100"


def test_what_camtrap_dp_cannot_hold_is_listed_with_the_reason(place, tmp_path):
    folder = written("camtrap-dp", place, tmp_path)
    timeless = "no time of day with the photo, which Camtrap DP needs"
    assert {row["file"]: row["reason"] for row in table(folder / "left-out.csv")} == {
        "timeless.jpg": timeless,
        "day.jpg": timeless,
        "bad.jpg": "the file is empty (0 bytes)",
    }


def test_the_camtrap_description_names_taxa_and_is_stamped(place, tmp_path):
    folder = written("camtrap-dp", place, tmp_path)
    description = json.loads((folder / "datapackage.json").read_text())
    assert description["taxonomic"] == [
        {"scientificName": "Canis"},
        {
            "scientificName": "Panthera leo",
            "taxonRank": "species",
            "vernacularNames": {"eng": "lion"},
        },
        {
            "scientificName": "Vulpes vulpes",
            "taxonRank": "species",
            "vernacularNames": {"eng": "red fox"},
        },
    ]
    assert description["temporal"] == {"start": "2024-05-06", "end": "2024-05-07"}
    assert description["project"]["observationLevel"] == ["media", "event"]
    assert description["homerange"]["package_sha256"] == place.sha256
    assert "placeholders" in description["description"]


def deployments_table(path, text):
    path.write_text(text)
    return Fieldwork(utc_offset=parse_utc_offset("+0300"), deployments=read_deployments(path))


def test_a_table_of_deployments_gives_places_dates_and_names_to_folders_below(place, tmp_path):
    fieldwork = deployments_table(
        tmp_path / "cameras.csv",
        "folder,deploymentID,latitude,longitude,deploymentStart,cameraID,project_id\n"
        "oak,d1,-2.5,34.25,2024-05-01T00:00:00,cam 7,p\nelm,,-2,34,,,\n",
    )
    pairs = [
        (Photo(f"{name}.jpg", Path(f"/{name}.jpg")), answer(f"{name}.jpg", 1, **TIME))
        for name in ("oak/100MEDIA/1", "elm/1", "ash/1")
    ]
    folder = written("camtrap-dp", place, tmp_path, pairs, fieldwork)
    deployments = by(table(folder / "deployments.csv"), "deploymentID")
    assert set(deployments) == {"d1", "elm"}
    oak = deployments["d1"]
    assert (oak["latitude"], oak["longitude"], oak["cameraID"]) == ("-2.5", "34.25", "cam 7")
    assert oak["deploymentStart"] == "2024-05-01T00:00:00+0300"
    assert oak["deploymentEnd"] == "2024-05-06T07:08:09+0300"
    assert oak["coordinateUncertainty"] == ""
    (left_out,) = table(folder / "left-out.csv")
    assert left_out["reason"] == "the table of deployments has no row for the folder ash"
    if standards():
        assert judged_by_frictionless(folder) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("folder,latitude\na,1\n", "found no longitude"),
        ("folder,latitude,longitude\n", "found no folder"),
        ("folder,latitude,longitude\na,95,1\n", "row 1 has latitude '95' and longitude '1'"),
        ("folder,latitude,longitude\na,,1\n", "row 1 has latitude ''"),
        ("folder,latitude,longitude\na,1,1\na/,2,2\n", "row 2 names a a second time"),
    ],
)
def test_a_table_of_deployments_that_cannot_be_used_is_refused(tmp_path, text, reason):
    with pytest.raises(RunError, match=re.escape(reason)):
        deployments_table(tmp_path / "cameras.csv", text)


def test_a_list_of_species_has_no_coordinates_for_camtrap_dp(tmp_path, make_package):
    listed = {"kind": "list", "species": ["Panthera leo"]}
    place = read_package(make_package(tmp_path / "p.homerange", labels=LABELS, place=listed))
    with pytest.raises(RunError, match="Give them with --deployments TABLE"):
        written("camtrap-dp", place, tmp_path)
    assert not (tmp_path / "results").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["p.homerange"]


def test_camtrap_dp_asks_for_the_clock_before_any_work(request_):
    output = request_["output"].with_name("dp")
    with pytest.raises(RunError, match=r"Say how far .* --utc-offset \+03:00"):
        predict(**request_ | {"output": output}, format="camtrap-dp")
    with pytest.raises(ConfigError, match=r"--utc-offset is '3h'; expected .* such as \+03:00"):
        predict(**request_ | {"output": output}, format="camtrap-dp", utc_offset="3h")


def test_predict_writes_a_camtrap_folder_again_but_never_over_another(request_, tmp_path):
    from PIL import Image

    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2024:05:06 07:08:09"
    Image.new("RGB", (40, 30), "red").save(request_["source"] / "north/timed.jpg", exif=exif)
    request_ |= {"output": tmp_path / "dp", "format": "camtrap-dp", "utc_offset": "Z"}
    predict(**request_)
    assert len(table(tmp_path / "dp/left-out.csv")) == 21
    predict(**request_)
    assert len(table(tmp_path / "dp/media.csv")) == 1
    diary = tmp_path / "diary"
    diary.mkdir()
    (diary / "monday.txt").touch()
    with pytest.raises(RunError, match="so it may be something else"):
        predict(**request_ | {"output": diary})
    assert [p.name for p in diary.iterdir()] == ["monday.txt"]


# --- SpeciesNet -------------------------------------------------------------------------------


def test_speciesnet_predictions_pass_the_validator_of_megadetector_utils(place, tmp_path):
    from megadetector.utils.wi_taxonomy_utils import (
        generate_md_results_from_predictions_json,
        load_md_or_speciesnet_file,
        validate_predictions_file,
    )

    # Its converter wants of a video what SpeciesNet's format has no field for.
    pairs = [pair for pair in PAIRS if pair[1].video is None]
    path = written("speciesnet", place, tmp_path, pairs, name="predictions.json")
    assert json.loads(path.read_text())["info"]["format_version"] == "20261015"
    validate_predictions_file(str(path), verbose=False)
    generate_md_results_from_predictions_json(str(path), str(tmp_path / "md.json"), verbose=False)
    images = load_md_or_speciesnet_file(str(tmp_path / "md.json"), verbose=False)["images"]
    read = {image["file"]: image for image in images}
    assert set(read) == {photo.file for photo, _ in pairs}
    assert read["oak/1.jpg"]["detections"]
    assert read["bad.jpg"]["failure"]


def test_a_speciesnet_prediction_worked_out_by_hand(place):
    given = (("country", "KEN"), ("latitude", -2.5))
    photo = Photo("oak/1.jpg", Path("/1.jpg"), given=given)
    found = prediction(photo, ANSWERS[0], place)
    version = found.pop("model_version")
    assert place.sha256[:12] in version
    (box,) = found.pop("detections")
    assert found == {"filepath": "oak/1.jpg", "country": "KEN", "latitude": -2.5}
    assert (box["category"], box["label"]) == ("0", "whole_image_classification")
    assert (box["conf"], box["bbox"]) == (1.0, [0.0, 0.0, 1.0, 1.0])
    assert box["raw_classifications"]["classes"][:3] == [
        ";;;;panthera;leo;lion",
        ";;;;vulpes;vulpes;red fox",
        ";;;;canis;;",
    ]
    assert box["raw_classifications"]["scores"] == [0.9, 0.02, 0.02, 0.02, 0.02]
    assert box["processed_classification"] == {
        "class": ";;;;panthera;leo;lion",
        "score": 0.9,
        "source": "classifier",
    }
    person = prediction(PAIRS[2][0], ANSWERS[2], place)["detections"][0]
    assert person["processed_classification"]["class"].endswith(";homo;sapiens;human")
    bad = prediction(PAIRS[-1][0], ANSWERS[-1], place)
    assert (bad["failures"], bad["failure_reason"]) == (
        ["CLASSIFIER"],
        "the file is empty (0 bytes)",
    )
    assert "detections" not in bad


# --- tables -----------------------------------------------------------------------------------


def test_parquet_holds_what_the_csv_holds_with_types(place, tmp_path):
    rows = table(written("csv", place, tmp_path, name="a.csv"))
    path = written("parquet", place, tmp_path, name="a.parquet")
    relation = duckdb.read_parquet(str(path))
    assert relation.columns == list(rows[0])
    types = dict(zip(relation.columns, map(str, relation.types), strict=True))
    assert (types["confidence"], types["burst_photos"], types["file"]) == (
        "DOUBLE",
        "INTEGER",
        "VARCHAR",
    )
    found = relation.fetchall()
    assert len(found) == len(ANSWERS)
    for row, cells in zip(rows, found, strict=True):
        for (name, text), value in zip(row.items(), cells, strict=True):
            if types[name] == "DOUBLE":
                assert value == (float(text) if text else None)
            else:
                assert ("" if value is None else str(value)) == text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "a.parquet"]


def test_pandas_reads_the_tables_back(place, tmp_path):
    import pandas

    plain = pandas.read_csv(written("csv", place, tmp_path, name="a.csv"))
    assert plain["file"].tolist() == [a.file for a in ANSWERS]
    assert plain["confidence"].dtype == float
    parquet = pandas.read_parquet(written("parquet", place, tmp_path, name="a.parquet"))
    assert parquet["burst_prediction"].dropna().tolist() == ["Panthera leo"] * 2
    images = pandas.read_csv(written("wildlife-insights", place, tmp_path, name="images.csv"))
    assert len(images) == len(ANSWERS)


def test_parquet_without_duckdb_says_what_to_install_before_any_work(request_, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ExtraNotInstalled, match=r"pip install '\.\[get\]'"):
        predict(**request_ | {"output": request_["output"].with_suffix(".parquet")})
    assert list(request_["output"].parent.iterdir()) == []


def test_the_images_of_wildlife_insights_worked_out_by_hand(place, tmp_path):
    rows = table(written("wildlife-insights", place, tmp_path, name="images.csv"))
    assert list(rows[0]) == WI_COLUMNS
    found = by(rows, "image_id")
    lion = {k: v for k, v in found["oak/1.jpg"].items() if v}
    assert place.sha256[:12] in lion.pop("identified_by")
    assert lion == {
        "deployment_id": "oak",
        "image_id": "oak/1.jpg",
        "location": "oak/1.jpg",
        "is_blank": "0",
        "genus": "Panthera",
        "species": "leo",
        "common_name": "lion",
        "timestamp": "2024-05-06 07:08:09",
        "animal_recognizable": "No",
        "number_of_objects": "1",
        "highlighted": "0",
    }
    blank = found["elm/blank.jpg"]
    assert (blank["is_blank"], blank["number_of_objects"], blank["genus"]) == ("1", "0", "")
    assert (found["oak/person.jpg"]["species"], found["elm/dog.jpg"]["species"]) == ("sapiens", "")
    assert found["bad.jpg"]["individual_animal_notes"] == (
        "could not be read: the file is empty (0 bytes)"
    )


# --- all of them ------------------------------------------------------------------------------


def test_every_format_is_stamped_with_place_model_and_list(place, tmp_path):
    hashes = stamp(place)
    files = place.place["files"]
    assert hashes["model_sha256"] == files["model.onnx"]["sha256"]
    assert hashes["list_sha256"] == files["labels.txt"]["sha256"]
    for format in FORMATS:
        path = written(format, place, tmp_path, name=format)
        if format == "parquet":
            text = str(duckdb.read_parquet(str(path)).fetchall())
        else:
            text = (path / "datapackage.json" if path.is_dir() else path).read_text()
        assert place.sha256[:12] in text, format
        if format != "wildlife-insights":  # it has no column for them
            assert hashes["model_sha256"] in text
            assert hashes["list_sha256"] in text
            assert "34.83" in text


@pytest.mark.parametrize("format", FORMATS)
def test_a_writer_that_stops_half_way_leaves_what_was_there(place, tmp_path, format):
    path = written(format, place, tmp_path)
    before = path.stat().st_mtime_ns

    def stops():
        yield PAIRS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_results(format, path, place, stops(), NAIROBI)
    assert path.stat().st_mtime_ns == before
    assert [p.name for p in tmp_path.iterdir()] == ["results"]


def test_speciesnet_answers_are_taken_and_written_one_by_one(place):
    file = io.BytesIO()
    before = []

    def stream():
        for _ in range(2000):
            before.append(file.tell())
            yield copy.copy(PAIRS[0])

    write_speciesnet(file, place, stream())
    assert before[-1] > file.tell() / 2
