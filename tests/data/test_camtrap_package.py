"""The forms of a Camtrap DP package: folder, zip, parts; and the standard as judge of the tests.

Where the schemas and the example of Camtrap DP 1.0.2 lie beside the repository, they are used.
"""

import csv
import gzip
import json
import re
import zipfile
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
from camtrap_package import (
    COLUMNS,
    DESCRIPTION,
    FOX,
    PROFILE,
    burst,
    medium,
    seen,
    write_csv,
    write_package,
)

from homerange.data.importers.camtrap_dp import import_camtrap_dp
from homerange.data.importers.camtrap_package import CamtrapPackage
from homerange.data.manifest import Refused
from homerange.errors import ManifestError

SHARED = Path(__file__).parents[3] / "shared"
STANDARD = SHARED / "standards"
EXAMPLE = SHARED / "samples" / "camtrap_dp"


@pytest.fixture
def package(tmp_path):
    """Write a package and empty photos; return its folder."""
    return partial(write_package, tmp_path / "package")


def table(imported, *names):
    return [tuple(row[name] for name in names) for row in imported.manifest.table.to_pylist()]


# --- the forms of a package ---------------------------------------------------------------------


def test_a_zip_is_read_like_a_folder(package, tmp_path):
    url = "https://a.org/1.jpg"
    folder = package([medium("m1", filePath=url)], [seen("o1", scientificName="Vulpes vulpes")])
    for inner in ("", "export/"):
        path = tmp_path / "package.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in folder.iterdir():
                archive.write(file, f"{inner}{file.name}")
        assert import_camtrap_dp(path).manifest.table == import_camtrap_dp(folder).manifest.table


def test_photos_inside_a_zip_are_named_with_the_way_out(package, tmp_path):
    folder = package([medium("m1"), medium("m2", filePath="https://a.org/2.jpg")])
    path = tmp_path / "package.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*"):
            archive.write(file, file.relative_to(folder))
    imported = import_camtrap_dp(path)
    reason = "lies inside the zip. Unzip the package and import its folder"
    assert imported.refused == [Refused(1, "media/m1.jpg", reason)]
    elsewhere = import_camtrap_dp(path, photos=folder)  # the same photos, unpacked
    assert table(elsewhere, "image") == [("media/m1.jpg",), ("https://a.org/2.jpg",)]


def test_datapackage_json_itself_names_the_package(package):
    folder = package([medium("m1")])
    assert len(import_camtrap_dp(folder / "datapackage.json").manifest) == 1


def test_tables_may_have_other_names_parts_delimiters_and_be_zipped(package):
    folder = package([medium("m1")], [seen("o1", "blank")])
    data = (folder / "media.csv").read_bytes()
    (folder / "photos.csv.gz").write_bytes(gzip.compress(data))
    more = medium("m2", filePath="https://a.org/2.jpg")
    write_csv(folder / "more.csv", COLUMNS["media"], [more])
    deployments = (folder / "deployments.csv").read_text().replace(",", ";")
    (folder / "deployments.csv").write_text(deployments, encoding="utf-8-sig")
    resources = [
        {"name": "deployments", "path": "deployments.csv", "dialect": {"delimiter": ";"}},
        {"name": "media", "path": ["photos.csv.gz", "more.csv"]},
        {"name": "observations", "path": "observations.csv"},
        {"name": "individuals", "data": []},
    ]
    (folder / "datapackage.json").write_text(json.dumps(DESCRIPTION | {"resources": resources}))
    imported = import_camtrap_dp(folder)
    assert table(imported, "image", "location_id") == [
        ("media/m1.jpg", "oak"),
        ("https://a.org/2.jpg", "oak"),
    ]


def broken(package, **facts):
    folder = package([medium("m1")])
    (folder / "datapackage.json").write_text(json.dumps(DESCRIPTION | facts))
    return folder


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"resources": None}, "datapackage.json lists no resources; expected a Camtrap DP package"),
        ({"resources": []}, "datapackage.json gives no file for the resource 'deployments'; "),
        (
            {"profile": "https://x.org/camtrap-dp/0.6/camtrap-dp-profile.json"},
            "is Camtrap DP 0.6; homerange reads Camtrap DP 1.0. Export the package again as ",
        ),
        ({"profile": "tabular"}, "has the profile 'tabular'; homerange reads Camtrap DP 1.0"),
        (
            {"resources": [{"name": "deployments", "path": "https://x.org/d.csv"}]},
            "the table https://x.org/d.csv is no file of the package. Download the whole package",
        ),
        (
            {"resources": [{"name": "deployments", "path": "../d.csv"}]},
            "the table ../d.csv is no file of the package",
        ),
        (
            {"resources": [{"name": "deployments", "path": "lost.csv"}]},
            "lost.csv cannot be read (No such file or directory)",
        ),
        (
            {"resources": [{"name": "deployments", "path": "media.csv"}]},
            "media.csv lacks the columns latitude, longitude; it has mediaID, deploymentID, ",
        ),
    ],
)
def test_a_package_that_cannot_be_read_is_an_error_that_says_why(package, facts, message):
    folder = broken(package, **facts)
    with pytest.raises(ManifestError) as caught:
        import_camtrap_dp(folder)
    assert str(caught.value).startswith(f"{folder}: {message}")


def test_what_is_no_package_is_an_error(package, tmp_path):
    folder = package([medium("m1")])
    with pytest.raises(ManifestError, match=r"nowhere: no such package"):
        import_camtrap_dp(tmp_path / "nowhere")
    with pytest.raises(ManifestError, match=r"holds no datapackage.json; expected a Camtrap DP"):
        import_camtrap_dp(tmp_path)
    with pytest.raises(ManifestError, match=r"is no zip, or a damaged one \(File is not a zip"):
        import_camtrap_dp(folder / "media.csv")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("media.csv", "x")
    with pytest.raises(ManifestError, match=r"the zip holds no datapackage.json"):
        import_camtrap_dp(tmp_path / "other.zip")
    (folder / "datapackage.json").write_text("{")
    with pytest.raises(ManifestError, match=r"datapackage.json is not JSON \(Expecting property"):
        import_camtrap_dp(folder)


def test_a_table_in_another_encoding_or_a_damaged_zip_is_an_error(package, tmp_path):
    folder = package([medium("m1")], [seen("o1", "blank", observationComments="x" * 900)])
    path = tmp_path / "package.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.glob("*.*"):
            archive.write(file, file.name)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"x" * 900, b"y" * 900))
    with pytest.raises(ManifestError, match=r"observations.csv cannot be read as CSV \(Bad CRC-32"):
        import_camtrap_dp(path)
    (folder / "media.csv").write_bytes(b"mediaID,\xff\n")
    with pytest.raises(ManifestError, match=r"media.csv cannot be read as CSV \('utf-8' codec"):
        import_camtrap_dp(folder)


def test_a_package_without_photos_is_an_error(package):
    with pytest.raises(ManifestError, match=r"has no rows; expected at least one photo"):
        import_camtrap_dp(package())


# --- the standard -------------------------------------------------------------------------------


def breaks_schema(path, schema):
    """What a table breaks of its Table Schema: a slow and small validator."""
    with path.open(newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    fields = schema["fields"]
    found = [] if header == [field["name"] for field in fields] else ["header"]
    for i, field in enumerate(fields):
        cells = [line[i] for line in lines]
        rules = field["constraints"]
        values = [cell for cell in cells if cell not in schema["missingValues"]]
        checks = {
            "required": not rules.get("required") or len(values) == len(cells),
            "unique": not rules.get("unique") or len(set(values)) == len(values),
            "enum": set(values) <= set(rules.get("enum", values)),
            "pattern": all(re.match(rules.get("pattern", ""), value) for value in values),
            "minimum": all(float(value) >= rules.get("minimum", -1e9) for value in values)
            if "minimum" in rules
            else True,
            "maximum": all(float(value) <= rules["maximum"] for value in values)
            if "maximum" in rules
            else True,
            "datetime": all(datetime.strptime(value, field["format"]) for value in values)
            if field["type"] == "datetime"
            else True,
        }
        found += [f"{field['name']} {rule}" for rule, met in checks.items() if not met]
    return found


@pytest.fixture
def schema():
    if not STANDARD.is_dir():
        pytest.skip("the schemas of Camtrap DP are not beside the repository")
    return lambda name: json.loads(
        (STANDARD / f"camtrap-dp-1.0.2-{name}-table-schema.json").read_text()
    )


def test_the_package_of_these_tests_obeys_the_table_schemas(package, schema):
    box = {"bboxX": "0.25", "bboxY": "0.1", "bboxWidth": "0.5", "bboxHeight": "0.4"}
    fox = {"scientificName": "Vulpes vulpes", "eventID": "7", "count": "2"}
    observations = [seen("o1", **fox, **box), seen("e1", media="", **fox), seen("o2", "blank")]
    folder = package([medium("m1"), *burst(3)], observations)
    for name in COLUMNS:
        assert (name, breaks_schema(folder / f"{name}.csv", schema(name))) == (name, [])
    write_csv(folder / "media.csv", COLUMNS["media"], [medium("m1", "2020-06-01T12:00:00")] * 2)
    with pytest.raises(ValueError, match="does not match format"):
        breaks_schema(folder / "media.csv", schema("media"))  # the validator can fail
    wrong = [seen("o1", "bird", count="0"), seen("o1", eventStart="2020-06-01T10:00:00Z")]
    write_csv(folder / "observations.csv", COLUMNS["observations"], wrong)
    assert breaks_schema(folder / "observations.csv", schema("observations")) == [
        "observationID unique",
        "observationType enum",
        "count minimum",
    ]


def test_the_description_has_what_the_profile_requires(schema):
    profile = json.loads((STANDARD / "camtrap-dp-1.0.2-camtrap-dp-profile.json").read_text())
    rules = next(part for part in profile["allOf"] if "required" in part)
    assert set(rules["required"]) <= set(DESCRIPTION)
    assert set(rules["properties"]["project"]["required"]) <= set(DESCRIPTION["project"])
    assert re.search(profile["$defs"]["version"]["pattern"], PROFILE)
    taxon = rules["properties"]["taxonomic"]["items"]["properties"]
    assert set(FOX) <= set(taxon)


def test_the_example_of_the_standard_is_read_whole():
    if not EXAMPLE.is_dir():
        pytest.skip("the example of Camtrap DP is not beside the repository")
    with (EXAMPLE / "observations.csv").open(newline="") as file:
        own = [row for row in csv.DictReader(file) if row["observationLevel"] == "media"]
    imported = import_camtrap_dp(EXAMPLE)
    assert imported.refused == []
    # Every photo of the example has labels of its own, so no label of an event is spread.
    assert imported.manifest.strings("observation_id") == [row["observationID"] for row in own]
    named = [row["scientificName"] or None for row in own if row["observationType"] == "animal"]
    species = imported.manifest.strings("species")
    animals = [
        name for name, row in zip(species, own, strict=True) if row["observationType"] == "animal"
    ]
    assert animals == named
    assert CamtrapPackage.open(EXAMPLE).text("version") == "1.0.2"
