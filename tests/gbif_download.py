"""GBIF downloads for tests: the columns of both formats, and records that can be used."""

import zipfile

SIMPLE = (
    "gbifID datasetKey occurrenceID kingdom phylum class order family genus species "
    "infraspecificEpithet taxonRank scientificName verbatimScientificName "
    "verbatimScientificNameAuthorship countryCode locality stateProvince occurrenceStatus "
    "individualCount publishingOrgKey decimalLatitude decimalLongitude "
    "coordinateUncertaintyInMeters coordinatePrecision elevation elevationAccuracy depth "
    "depthAccuracy eventDate day month year taxonKey speciesKey basisOfRecord institutionCode "
    "collectionCode catalogNumber recordNumber identifiedBy dateIdentified license rightsHolder "
    "recordedBy typeStatus establishmentMeans lastInterpreted mediaType issue"
).split()
ARCHIVE = (
    "gbifID license rightsHolder occurrenceID occurrenceStatus eventDate year month day "
    "decimalLatitude decimalLongitude coordinateUncertaintyInMeters basisOfRecord issue "
    "hasCoordinate hasGeospatialIssues taxonRank genus species scientificName"
).split()


def lion(**cells):
    """A record of a lion in the Serengeti that breaks no rule."""
    return {
        "gbifID": "4011",
        "genus": "Panthera",
        "species": "Panthera leo",
        "scientificName": "Panthera leo (Linnaeus, 1758)",
        "occurrenceStatus": "PRESENT",
        "decimalLatitude": "-2.33",
        "decimalLongitude": "34.83",
        "coordinateUncertaintyInMeters": "30",
        "month": "5",
        "basisOfRecord": "HUMAN_OBSERVATION",
        "license": "CC_BY_4_0",
        "issue": "COORDINATE_ROUNDED",
    } | cells


def table(rows, columns=SIMPLE):
    """The text of a table: tabs, no quotes."""
    lines = [columns, *([row.get(name, "") for name in columns] for row in rows)]
    return "".join("\t".join(line) + "\n" for line in lines)


def write_zip(path, members):
    """Write a zip of texts."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path
