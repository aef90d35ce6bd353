"""What a Camtrap DP package says becomes a manifest: photos, events, coordinates, refusals."""

from functools import partial

import pytest
from camtrap_package import DEPLOYMENT, burst, medium, seen, write_package
from click.testing import CliRunner

from homerange.cli import main
from homerange.data.importers.camtrap_dp import import_camtrap_dp
from homerange.data.manifest import Manifest, Refused


@pytest.fixture
def package(tmp_path):
    """Write a package and empty photos; return its folder."""
    return partial(write_package, tmp_path / "package")


def table(imported, *names):
    return [tuple(row[name] for name in names) for row in imported.manifest.table.to_pylist()]


# --- single photos --------------------------------------------------------------------------


def test_an_observation_of_a_photo_is_a_row_with_place_time_taxon_and_box(package):
    box = {"bboxX": "0.25", "bboxY": "0.1", "bboxWidth": "0.5", "bboxHeight": "0.4"}
    fox = seen("o1", scientificName="Vulpes vulpes", eventID="7", count="2", **box)
    imported = import_camtrap_dp(package([medium("m1")], [fox]))
    assert imported.refused == []
    (row,) = imported.manifest.table.to_pylist()
    assert [row.pop(f"bbox_{side}") for side in ("x", "y", "width", "height")] == pytest.approx(
        [0.25, 0.1, 0.5, 0.4]
    )
    assert {name: value for name, value in row.items() if value is not None} == {
        "image": "media/m1.jpg",
        "observation_id": "o1",
        "species": "Vulpes vulpes",
        "common_name": "red fox",
        "taxon_class": "Mammalia",
        "taxon_order": "Carnivora",
        "taxon_family": "Canidae",
        "taxon_genus": "Vulpes",
        "count": 2,
        "latitude_deg": 51.496,
        "longitude_deg": 4.774,
        "coordinate_uncertainty_m": 187.0,
        "datetime": "2020-06-01T12:00:00+02:00",  # the offset as found
        "location_id": "oak",
        "sequence_id": "d1:7",
        "split": "train",
        "source": "foxes",
        "licence": "http://creativecommons.org/licenses/by/4.0/",
    }


@pytest.mark.parametrize(
    ("kind", "name", "species"),
    [
        ("animal", "Vulpes vulpes (Linnaeus, 1758)", "Vulpes vulpes"),
        ("animal", "Ardea", "Ardea"),
        ("animal", "", None),
        ("human", "Homo sapiens", "person"),
        ("human", "", "person"),
        ("vehicle", "", "vehicle"),
        ("blank", "", "blank"),
        ("unknown", "", None),
        ("unclassified", "", None),
    ],
)
def test_types_become_species_and_outcomes(package, kind, name, species):
    imported = import_camtrap_dp(package([medium("m1")], [seen("o1", kind, scientificName=name)]))
    assert table(imported, "species") == [(species,)]


def test_a_common_name_in_another_language_is_better_than_none(package):
    imported = import_camtrap_dp(package([medium("m1")], [seen("o1", scientificName="Ardea")]))
    assert table(imported, "common_name", "taxon_genus") == [("reigers", None)]


def test_a_photo_that_nobody_observed_is_an_unlabelled_row(package):
    imported = import_camtrap_dp(package([medium("m1"), medium("m2")], [seen("o1", "blank")]))
    assert table(imported, "image", "observation_id", "species") == [
        ("media/m1.jpg", "o1", "blank"),
        ("media/m2.jpg", "media/m2.jpg", None),
    ]


def test_addresses_on_the_web_stay_addresses(package):
    url = "https://multimedia.agouti.eu/assets/1/file"
    imported = import_camtrap_dp(package([medium("m1", filePath=url)], [seen("o1", "blank")]))
    assert table(imported, "image") == [(url,)]


def test_without_a_location_the_camera_is_the_deployment(package):
    where = DEPLOYMENT | {"locationID": ""}
    imported = import_camtrap_dp(package([medium("m1")], deployments=[where]))
    assert table(imported, "location_id") == [("d1",)]


# --- coordinates ----------------------------------------------------------------------------


def test_unknown_uncertainty_stays_unknown(package):
    where = DEPLOYMENT | {"coordinateUncertainty": "NA"}
    imported = import_camtrap_dp(package([medium("m1")], deployments=[where]))
    assert table(imported, "coordinate_uncertainty_m") == [(None,)]


def test_rounded_coordinates_are_as_uncertain_as_their_rounding(package):
    # 0.1 degrees: half the diagonal of a square of that side is 0.1 / 2 * 1.41421 degrees of
    # 111,195 m = 7,862.7 m; what a deployment states itself counts first.
    vague = DEPLOYMENT | {"deploymentID": "d2", "coordinateUncertainty": ""}
    media = [medium("m1"), medium("m2", deploymentID="d2")]
    imported = import_camtrap_dp(
        package(media, deployments=[DEPLOYMENT, vague], coordinatePrecision=0.1)
    )
    assert table(imported, "image", "coordinate_uncertainty_m") == [
        ("media/m1.jpg", 187.0),
        ("media/m2.jpg", 7863.0),
    ]


def test_impossible_coordinates_are_emptied_and_counted(package):
    where = DEPLOYMENT | {"latitude": "north", "longitude": "4.7"}
    imported = import_camtrap_dp(package([medium("m1")], deployments=[where]))
    assert table(imported, "latitude_deg", "longitude_deg") == [(None, None)]
    assert any("values of latitude_deg are impossible" in note for note in imported.notes)


# --- events -----------------------------------------------------------------------------------


def test_a_label_of_an_event_is_spread_over_the_photos_of_its_time(package):
    # The event lasts from 10:00:00Z to 10:00:05Z, which the camera calls 12:00:00 to 12:00:05.
    fox = seen("e1", media="", scientificName="Vulpes vulpes", eventID="7", count="3")
    imported = import_camtrap_dp(package(burst(0, 3, 5, 6), [fox]))
    assert table(imported, "image", "observation_id", "species", "sequence_id", "count") == [
        ("media/m0.jpg", "e1:m0", "Vulpes vulpes", "d1:7", None),
        ("media/m3.jpg", "e1:m3", "Vulpes vulpes", "d1:7", None),
        ("media/m5.jpg", "e1:m5", "Vulpes vulpes", "d1:7", None),
        ("media/m6.jpg", "media/m6.jpg", None, None, None),
    ]
    assert imported.notes[0] == (
        "0 rows are observations of single photos, 3 were spread from 1 observations of events "
        "(some of these photos may be blank), 1 photos were not observed"
    )


def test_what_was_seen_on_the_photo_itself_counts_first(package):
    rows = [
        seen("e1", media="", scientificName="Vulpes vulpes", eventID="7"),
        seen("o1", "blank", "m0", eventID="7"),
        seen("o2", "unclassified", "m3", eventID="7"),
    ]
    imported = import_camtrap_dp(package(burst(0, 3), rows))
    assert table(imported, "observation_id", "species", "sequence_id") == [
        ("e1:m3", "Vulpes vulpes", "d1:7"),  # nobody had classified this photo
        ("o1", "blank", "d1:7"),
    ]


def test_photos_that_name_an_event_belong_to_it_whatever_their_clock_says(package):
    late = medium("m1", "2020-06-30T00:00:00+02:00")
    rows = [
        seen("e1", media="", scientificName="Vulpes vulpes", eventID="7"),
        seen("o1", "unclassified", "m1", eventID="7"),
    ]
    assert table(import_camtrap_dp(package([late], rows)), "species") == [("Vulpes vulpes",)]


def test_an_event_stays_in_its_own_deployment(package):
    other = DEPLOYMENT | {"deploymentID": "d2", "locationID": "elm"}
    media = [medium("m1", "2020-06-01T12:00:03+02:00"), medium("m2", deploymentID="d2")]
    rows = [
        seen("e1", media="", scientificName="Vulpes vulpes", eventID="1"),
        seen("o1", "unclassified", "m2", eventID="1", deploymentID="d2"),
    ]
    imported = import_camtrap_dp(package(media, rows, [DEPLOYMENT, other]))
    assert table(imported, "image", "species", "sequence_id") == [
        ("media/m1.jpg", "Vulpes vulpes", "d1:1"),
        ("media/m2.jpg", None, "d2:1"),  # this project numbers events from 1 in each deployment
    ]


def test_two_species_of_an_event_are_two_rows_and_one_species_twice_is_one(package):
    def event(name, species, **cells):
        return seen(name, media="", scientificName=species, **cells)

    rows = [
        event("e1", "Vulpes vulpes", lifeStage="adult"),
        event("e2", "Vulpes vulpes", lifeStage="juvenile"),
        event("e3", "Meles meles"),
        seen("e4", "unknown", ""),
    ]
    imported = import_camtrap_dp(package(burst(1), rows))
    assert table(imported, "observation_id", "species") == [
        ("e1:m1", "Vulpes vulpes"),
        ("e3:m1", "Meles meles"),
    ]


# --- what the user should know, and what is refused --------------------------------------------


def test_machine_labels_doubtful_clocks_private_photos_and_missing_offsets_are_counted(package):
    where = DEPLOYMENT | {"timestampIssues": "true"}
    photo = medium("m1", "2020-06-01T12:00:00", filePublic="false")
    rows = [seen("o1", "blank", classificationMethod="machine")]
    notes = import_camtrap_dp(package([photo], rows, [where])).notes
    assert "1 labels were given by a machine (classificationMethod)" in notes
    assert "1 photos have times with known issues (timestampIssues)" in notes
    assert "1 photos are not public (filePublic): an address may ask for a login" in notes
    assert "1 times have no UTC offset, which Camtrap DP asks for" in notes


def test_what_breaks_the_contract_is_refused_with_its_reason(package):
    media = [
        medium("m1"),
        medium("m1", filePath="media/again.jpg"),
        medium("m3", filePath=""),
        medium("m4", filePath="../m4.jpg"),
        medium("m5", filePath="media/m5.mp4", fileMediatype="video/mp4"),
        medium("m6", deploymentID="d9"),
        medium("", filePath="media/m7.jpg"),
        medium("m8", filePath="media/lost.jpg", fileMediatype=""),
    ]
    observations = [
        seen("o1", "blank"),
        seen("o2", "bird"),
        seen("o3", "blank", observationLevel="deployment"),
        seen("o4", "blank", "", observationLevel="media"),
        seen("o5", "blank", "m5"),
        seen("o6", "blank", "", eventStart="dawn"),
        seen("o7", "blank", "", deploymentID="d9"),
        seen("o8", "blank", bboxX="0.9", bboxY="0", bboxWidth="0.2", bboxHeight="0.1"),
        seen("o1", "blank"),
    ]
    imported = import_camtrap_dp(package(media, observations))
    assert table(imported, "observation_id") == [("o1",)]
    types = "animal, human, vehicle, blank, unknown, unclassified"
    outside = "box 0.9, 0, 0.2, 0.1 is not inside the photo; expected x, y, width, height in 0-1"
    event = "the event 2020-06-01T10:00:00Z to 2020-06-01T10:00:05Z"
    assert imported.refused == [
        Refused(2, "", f"the observationType is 'bird'; expected one of {types}"),
        Refused(3, "", "the observationLevel is 'deployment'; expected media or event"),
        Refused(4, "", "the observation of a photo has no mediaID"),
        Refused(5, "", "no photo that can be used has the mediaID 'm5'"),
        Refused(6, "", "the eventStart of the event is 'dawn'; expected a time"),
        Refused(7, "", f"no photo of deployment 'd9' was taken in {event}"),
        Refused(8, "media/m1.jpg", outside),
        Refused(9, "media/m1.jpg", "observation id 'o1' was already used by row 1"),
        # media follow the nine observations
        Refused(11, "media/again.jpg", "the mediaID 'm1' was already used"),
        Refused(12, "", "the medium has no filePath"),
        Refused(13, "../m4.jpg", "the filePath leads out of the package, which Camtrap DP forbids"),
        Refused(14, "media/m5.mp4", "the medium is video/mp4; only photos can be used"),
        Refused(15, "media/m6.jpg", "no deployment has the deploymentID 'd9'"),
        Refused(16, "media/m7.jpg", "the medium has no mediaID"),
        Refused(17, "media/lost.jpg", "the medium is of no fileMediatype; only photos can be used"),
    ]


def test_a_photo_that_is_not_there_and_a_broken_line_are_refused(package):
    folder = package([medium("m1")], [seen("o1", "blank")])
    (folder / "media" / "m1.jpg").rename(folder / "media" / "m2.jpg")
    with (folder / "media.csv").open("a") as file:
        file.write("m2,d1\r\n")
        file.write("m3,d1,,,https://a.org/3.jpg,true,,image/jpeg,,,\r\n")
        file.write("m4,d1,,,https://a.org/4.mp4,true,,video/mp4,,,\r\n")
    imported = import_camtrap_dp(folder)
    assert imported.refused == [
        Refused(1, "media/m1.jpg", f"photo not found in {folder}"),
        Refused(3, "", "media.csv: has 2 cells, but the header has 11"),
        Refused(5, "https://a.org/4.mp4", "the medium is video/mp4; only photos can be used"),
    ]


def test_the_verb_writes_the_manifest_and_says_how_rows_came(package, tmp_path):
    folder = package([medium("m1")], [seen("o1", "blank"), seen("o2", "bird")])
    output = tmp_path / "m.parquet"
    result = CliRunner().invoke(main, ["import", "camtrap-dp", str(folder), "-o", str(output)])
    assert result.exit_code == 3
    assert "1 rows are observations of single photos, 0 were spread" in result.stdout
    assert Manifest.read(output).strings("species") == ["blank"]
    assert (
        "2,,\"the observationType is 'bird'; expected" in (tmp_path / "m.refused.csv").read_text()
    )


def test_no_table_of_the_package_is_overwritten(package):
    folder = package([medium("m1")])
    before = (folder / "media.csv").read_text()
    command = ["import", "camtrap-dp", str(folder), "-o", str(folder / "media.csv")]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    assert "media.csv: is read too" in result.stderr
    assert (folder / "media.csv").read_text() == before
