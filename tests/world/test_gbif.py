"""GBIF downloads become coarse rows of occurrence; what cannot be used is counted by its reason."""

import shutil
from collections import namedtuple

import numpy as np
import pytest
from click.testing import CliRunner
from gbif_download import ARCHIVE, SIMPLE, lion, table, write_zip
from tiny_training import manifest_of

from homerange.cli import main
from homerange.errors import OccurrenceError
from homerange.geo.cells import cell_ids, cell_level
from homerange.geo.place import Circle
from homerange.profile.records import occurrence
from homerange.specialize.records import counts_for
from homerange.world.gbif import import_gbif
from homerange.world.occurrences import OccurrenceFile
from homerange.world.tables import Occurrence

COLUMNS = ("species", "cell", "month", "source", "uncertainty_km", "count_band")


@pytest.fixture
def imported(tmp_path):
    """Import records from a simple download; return what it came to and its rows."""

    def run(*records, text=None, columns=SIMPLE):
        download = tmp_path / "0012345-250117142028555.csv"
        download.write_text(table(records, columns) if text is None else text, encoding="utf-8")
        found = import_gbif(download, tmp_path / "out" / "records.parquet")
        return found, rows_of(found.file.path)

    return run


def rows_of(path):
    """Rows of a file of records."""
    folder = path.parent / "as a world has it"
    folder.mkdir(exist_ok=True)
    shutil.copy(path, folder / Occurrence.file)
    found = Occurrence.read(folder)
    return list(zip(*(getattr(found, name).tolist() for name in COLUMNS), strict=True))


def cell(latitude=-2.33, longitude=34.83, level=8):
    return int(cell_ids(np.array([[latitude, longitude]]), level)[0])


# --- rows ---------------------------------------------------------------------------------------


def test_records_that_are_alike_are_one_row_with_a_band(imported):
    # Three in May (band 2: 2 to 5 records), one in June; the largest uncertainty of the row counts.
    vague = lion(coordinateUncertaintyInMeters="500", license="CC0_1_0")
    may = [lion(), vague, lion(gbifID="4012")]
    found, rows = imported(*may, lion(month="6"))
    assert rows == [
        ("Panthera leo", cell(), 5, "extra", 0.5, 2),
        ("Panthera leo", cell(), 6, "extra", pytest.approx(0.03), 1),
    ]
    assert (found.species, found.rows, found.file.records, found.vague) == (1, 2, 4, 0)
    assert found.refused == {}


def test_the_rows_are_those_that_the_same_photos_would_give(imported):
    # An independent way: the records as photos of a manifest, counted by homerange.profile.
    rng = np.random.default_rng(5)
    records = [
        {
            "species": rng.choice(["Panthera leo", "Vulpes vulpes", "Lepus europaeus"]),
            "latitude_deg": round(float(rng.uniform(-90, 90)), int(rng.integers(-1, 2))),
            "longitude_deg": round(float(rng.uniform(-180, 180)), int(rng.integers(-1, 2))),
            "coordinate_uncertainty_m": float(rng.choice([1, 900, 9_999, 36_000, 40_000, 3e6])),
            "datetime": f"2020-{rng.integers(1, 13):02}-03",
            "split": "train",
        }
        for _ in range(400)
    ]
    expected = occurrence(manifest_of(records, None))
    gbif = [
        lion(
            species=one["species"],
            decimalLatitude=str(one["latitude_deg"]),
            decimalLongitude=str(one["longitude_deg"]),
            coordinateUncertaintyInMeters=str(one["coordinate_uncertainty_m"]),
            month=str(int(one["datetime"][5:7])),
        )
        for one in records
    ]
    _, rows = imported(*gbif)
    by_photos = zip(*(getattr(expected, name).tolist() for name in COLUMNS), strict=True)
    as_extra = [(*row[:3], "extra", *row[4:]) for row in by_photos]
    assert len(as_extra) > 200
    assert sorted(rows) == sorted(as_extra)


def test_cells_are_never_finer_than_level_8_and_coarser_where_the_place_is_vague(imported):
    # Mean edges: level 8 36.3 km, level 7 72.6 km.
    _, rows = imported(lion(coordinateUncertaintyInMeters="1"),
                       lion(coordinateUncertaintyInMeters="37000"))  # fmt: skip
    assert [row[1] for row in rows] == sorted([cell(level=8), cell(level=7)])
    assert cell_level(np.array([row[1] for row in rows], np.uint64)).max() == 8


def test_exact_records_keep_their_vote_beside_vague_ones(imported):
    # The upper ends of the bands, 1, 10 and 36 km, belong to the band below.
    metres = ("1", "1000", "1001", "10000", "10001", "36000")
    _, rows = imported(*(lion(coordinateUncertaintyInMeters=one) for one in metres))
    assert [(row[4], row[5]) for row in rows] == [(1.0, 2), (10.0, 2), (36.0, 2)]


def test_a_record_that_is_27_km_uncertain_does_not_vote_for_a_place_of_1_km(imported):
    _, ((_, where, _, _, uncertainty_km, _),) = imported(
        lion(coordinateUncertaintyInMeters="27000")
    )
    place = np.array([where], np.uint64), np.array([uncertainty_km])
    assert counts_for(Circle(-2.33, 34.83, 1.0), *place).tolist() == [False]
    assert counts_for(Circle(-2.33, 34.83, 27.0), *place).tolist() == [True]


@pytest.mark.parametrize("text", ["", "0", "-5", "NaN", "inf", "about 30"])
def test_an_uncertainty_that_says_nothing_is_unknown_and_counted(imported, text):
    found, rows = imported(lion(coordinateUncertaintyInMeters=text))
    assert rows == [("Panthera leo", cell(), 5, "extra", 0.0, 1)]
    assert found.vague == 1


@pytest.mark.parametrize("text", ["", "0", "13", "May"])
def test_a_month_that_cannot_be_is_unknown(imported, text):
    found, rows = imported(lion(month=text))
    assert rows == [("Panthera leo", cell(), 0, "extra", pytest.approx(0.03), 1)]
    assert found.refused == {}


def test_quotes_and_signs_of_any_language_are_plain_text(imported):
    _, rows = imported(
        lion(locality='the "old" farm'), lion(locality="Ñandú 熊 '", species="Ara x")
    )
    assert [row[0] for row in rows] == ["Ara x", "Panthera leo"]


# --- refused ------------------------------------------------------------------------------------

REFUSED = {
    "no species: determined to a genus or higher": [{"species": ""}],
    "people": [{"species": "Homo sapiens"}],
    "no coordinates": [{"decimalLatitude": ""}, {"decimalLongitude": ""}],
    "coordinates that are no numbers or out of range": [
        {"decimalLatitude": "91"},
        {"decimalLongitude": "-180.5"},
        {"decimalLatitude": "north"},
        {"decimalLatitude": "NaN"},
    ],
    "latitude 0, longitude 0": [{"decimalLatitude": "0", "decimalLongitude": "0.0"}],
    "a geospatial issue, by GBIF's own list": [
        {"issue": "COORDINATE_ROUNDED;COUNTRY_COORDINATE_MISMATCH"},
        {"issue": "PRESUMED_NEGATED_LATITUDE"},
    ],
    "absent: looked for and not found": [{"occurrenceStatus": "ABSENT"}],
    "a fossil": [{"basisOfRecord": "FOSSIL_SPECIMEN"}],
    "a living specimen: a zoo, a garden, a collection": [{"basisOfRecord": "LIVING_SPECIMEN"}],
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_used_is_counted_by_its_reason(imported, reason):
    found, rows = imported(lion(), *(lion(**cells) for cells in REFUSED[reason]))
    assert found.refused == {reason: len(REFUSED[reason])}
    assert len(rows) == found.file.records == 1


def test_the_equator_and_the_prime_meridian_are_places(imported):
    found, rows = imported(lion(decimalLatitude="0"), lion(decimalLongitude="0"))
    assert (len(rows), found.refused) == (2, {})


def test_of_several_reasons_one_is_counted_and_the_commonest_reason_stands_first(imported):
    worst = lion(species="", decimalLatitude="", basisOfRecord="FOSSIL_SPECIMEN")
    fossils = [lion(basisOfRecord="FOSSIL_SPECIMEN")] * 2
    found, _ = imported(lion(), worst, *fossils)
    assert list(found.refused.items()) == [
        ("a fossil", 2),
        ("no species: determined to a genus or higher", 1),
    ]


def test_a_broken_line_is_counted_once_and_the_others_are_read(imported):
    text = table([lion(), lion()])
    broken = text + "4013\ta\tb\n" + text.splitlines()[1] + "\ttoo\tmany\n"
    found, rows = imported(text=broken)
    assert found.refused == {"a line that cannot be read": 2}
    assert [row[-1] for row in rows] == [2]  # two records: the band 2-5


# --- licences -------------------------------------------------------------------------------------


def test_licences_are_counted_and_go_with_the_file(imported):
    records = [lion(), lion(license="CC_BY_NC_4_0"), lion(license="UNSPECIFIED"), lion(license="")]
    found, _ = imported(*records, lion(species="", license="CC0_1_0"))
    assert found.file.licences == {"": 2, "CC_BY_4_0": 1, "CC_BY_NC_4_0": 1}
    again = OccurrenceFile.open(found.file.path)
    assert again == found.file
    assert again.source == "GBIF 0012345-250117142028555"


# --- the forms of a download ----------------------------------------------------------------------


def test_a_zip_a_folder_and_a_table_give_the_same_file(tmp_path):
    records = [lion(), lion(month="6")]
    key = "0012345-250117142028555"
    others = {"meta.xml": "<archive/>", "verbatim.txt": "gbifID\n", "multimedia.txt": "gbifID\n"}
    archive = {"occurrence.txt": table(records, ARCHIVE), **others, "citations.txt": "x"}
    (tmp_path / key).mkdir()
    for name, text in archive.items():
        (tmp_path / key / name).write_text(text)
    (tmp_path / f"{key}.csv").write_text(table(records))
    (tmp_path / "simple").mkdir()
    (tmp_path / "archive").mkdir()
    downloads = [
        tmp_path / f"{key}.csv",
        write_zip(tmp_path / "simple" / f"{key}.zip", {f"{key}.csv": table(records)}),
        write_zip(tmp_path / "archive" / f"{key}.zip", archive),
        tmp_path / key,
        tmp_path / key / "occurrence.txt",
    ]
    files = []
    for i, download in enumerate(downloads):
        found = import_gbif(download, tmp_path / "out" / f"{i}.parquet")
        files.append(found.file.path.read_bytes())
        assert found.file.source == f"GBIF {key}"
    assert len(set(files)) == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"{i}.parquet" for i in range(5)
    ]  # what was unzipped or spilled is gone


def test_an_archive_may_say_by_itself_that_coordinates_are_doubtful(tmp_path):
    records = [lion(hasGeospatialIssues="false"), lion(hasGeospatialIssues="true")]
    download = write_zip(tmp_path / "a.zip", {"occurrence.txt": table(records, ARCHIVE)})
    found = import_gbif(download, tmp_path / "r.parquet")
    assert found.refused == {"a geospatial issue, by GBIF's own list": 1}


def test_columns_that_older_downloads_lack_are_unknown(imported):
    columns = ["species", "decimalLatitude", "decimalLongitude", "basisOfRecord", "issue"]
    found, rows = imported(lion(), columns=columns)
    assert rows == [("Panthera leo", cell(), 0, "extra", 0.0, 1)]
    assert found.file.licences == {"": 1}


def fails(tmp_path, download):
    with pytest.raises(OccurrenceError) as caught:
        import_gbif(download, tmp_path / "out" / "r.parquet")
    assert not list((tmp_path / "out").iterdir())
    return str(caught.value)


def test_what_is_no_download_is_an_error_that_says_why(tmp_path):
    nowhere = tmp_path / "nowhere.zip"
    assert fails(tmp_path, nowhere) == (
        f"{nowhere}: no such file. Expected a GBIF download: a zip, or the table in it"
    )
    assert f"{tmp_path / 'occurrence.txt'}: no such file" in fails(tmp_path, tmp_path)
    page = tmp_path / "page.zip"
    page.write_text("<html>")
    assert fails(tmp_path, page) == (
        f"{page}: the zip is damaged (File is not a zip file). Download it again"
    )
    whole = write_zip(tmp_path / "whole.zip", {"a.csv": table([lion()] * 500)})
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole.read_bytes()[:-200])
    assert "cut.zip: the zip is damaged (" in fails(tmp_path, cut)
    two = write_zip(tmp_path / "two.zip", {"a.csv": "", "b.csv": "", "c.xml": ""})
    assert fails(tmp_path, two) == (
        f"{two}: the zip holds 2 tables of occurrences, expected one .csv (a simple download) or "
        "occurrence.txt (a Darwin Core Archive); it begins with a.csv, b.csv, c.xml"
    )
    comma = tmp_path / "comma.csv"
    comma.write_text("species,decimalLatitude\n")
    assert fails(tmp_path, comma).startswith(
        "comma.csv: lacks the columns species, decimalLatitude, decimalLongitude, basisOfRecord, "
        "issue; it begins with species,decimalLatitude. Expected a GBIF download: simple (tab"
    )
    other = tmp_path / "other.csv"
    other.write_bytes(b"\xff\xfe")
    assert "other.csv: cannot be read ('utf-8' codec" in fails(tmp_path, other)


def test_a_download_without_any_record_that_can_be_used_is_an_error(tmp_path):
    download = tmp_path / "d.csv"
    download.write_text(table([lion(species=""), lion(month="6", species=""), lion(issue="")]))
    assert import_gbif(download, tmp_path / "r.parquet").file.records == 1
    download.write_text(table([lion(species="")] * 3 + [lion(basisOfRecord="FOSSIL_SPECIMEN")]))
    assert fails(tmp_path, download) == (
        f"{download}: none of its 4 records can be used; most often (3) because of: no species: "
        "determined to a genus or higher"
    )
    download.write_text(table([]))
    assert fails(tmp_path, download) == (
        f"{download} has no records; expected a GBIF download with at least one"
    )


def test_a_zip_that_has_no_room_to_be_unzipped_is_refused_before_it_fills_the_disk(
    tmp_path, monkeypatch
):
    text = table([lion()])
    download = write_zip(tmp_path / "a.zip", {"a.csv": text})
    usage = namedtuple("Usage", "free")(10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert fails(tmp_path, download) == (
        f"{download}: unzipped it has {len(text):,} bytes; only 10 are free in "
        f"{tmp_path / 'out'}. Write the output where there is room"
    )


def test_an_output_that_cannot_be_written_is_an_error(tmp_path):
    download = tmp_path / "d.csv"
    download.write_text(table([lion()]))
    (tmp_path / "file").write_text("")
    with pytest.raises(OccurrenceError, match=r"r.parquet: cannot be written \(.*\). Make room"):
        import_gbif(download, tmp_path / "file" / "r.parquet")


def test_a_stop_from_the_keyboard_leaves_nothing_behind(tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    download = write_zip(tmp_path / "a.zip", {"a.csv": table([lion()] * 100)})
    monkeypatch.setattr("homerange.world.gbif.wait", stop)
    with pytest.raises(KeyboardInterrupt):
        import_gbif(download, tmp_path / "out" / "r.parquet")
    assert not list((tmp_path / "out").iterdir())


# --- the verb -------------------------------------------------------------------------------------


def test_the_verb_says_what_came_and_lists_why_records_were_refused(tmp_path):
    download = tmp_path / "0012345-250117142028555.csv"
    bad = [lion(species="")] * 2 + [lion(occurrenceStatus="ABSENT")]
    download.write_text(table([lion(), lion(license="", coordinateUncertaintyInMeters=""), *bad]))
    output = tmp_path / "lions.parquet"
    command = ["import", "gbif", str(download), "-o", str(output)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 3
    assert result.stdout.splitlines() == [
        "2 records of 1 species in 1 rows",
        "1 do not say how uncertain they are, and count as exact",
        "licences: 1 without one, 1 CC_BY_4_0",
        "cite the download, GBIF 0012345-250117142028555: its page at gbif.org has a DOI",
        f"records: {output}",
    ]
    report = tmp_path / "lions.refused.csv"
    assert f"3 records refused; reasons in {report}" in result.stderr
    assert report.read_text().splitlines() == [
        "records,reason",
        "2,no species: determined to a genus or higher",
        "1,absent: looked for and not found",
    ]
    download.write_text(table([lion()]))
    result = CliRunner().invoke(main, command)
    assert (result.exit_code, report.exists()) == (0, False)


def test_the_download_is_never_overwritten(tmp_path):
    download = tmp_path / "d.csv"
    download.write_text(table([lion()]))
    result = CliRunner().invoke(main, ["import", "gbif", str(download), "-o", str(download)])
    assert result.exit_code == 1
    assert "d.csv: is read too" in result.stderr
