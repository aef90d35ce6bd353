"""A Camtrap DP 1.0 package for tests, with all columns of the standard."""

import csv
import json

PROFILE = "https://raw.githubusercontent.com/tdwg/camtrap-dp/1.0.2/camtrap-dp-profile.json"

COLUMNS = {
    "deployments": (
        "deploymentID locationID locationName latitude longitude coordinateUncertainty "
        "deploymentStart deploymentEnd setupBy cameraID cameraModel cameraDelay cameraHeight "
        "cameraDepth cameraTilt cameraHeading detectionDistance timestampIssues baitUse "
        "featureType habitat deploymentGroups deploymentTags deploymentComments"
    ).split(),
    "media": (
        "mediaID deploymentID captureMethod timestamp filePath filePublic fileName fileMediatype "
        "exifData favorite mediaComments"
    ).split(),
    "observations": (
        "observationID deploymentID mediaID eventID eventStart eventEnd observationLevel "
        "observationType cameraSetupType scientificName count lifeStage sex behavior individualID "
        "individualPositionRadius individualPositionAngle individualSpeed bboxX bboxY bboxWidth "
        "bboxHeight classificationMethod classifiedBy classificationTimestamp "
        "classificationProbability observationTags observationComments"
    ).split(),
}
DEPLOYMENT = {
    "deploymentID": "d1",
    "locationID": "oak",
    "latitude": "51.496",
    "longitude": "4.774",
    "coordinateUncertainty": "187",
    "deploymentStart": "2020-05-30T00:00:00+02:00",
    "deploymentEnd": "2020-07-01T00:00:00+02:00",
}
FOX = {
    "scientificName": "Vulpes vulpes",
    "taxonRank": "species",
    "class": "Mammalia",
    "order": "Carnivora",
    "family": "Canidae",
    "genus": "Vulpes",
    "vernacularNames": {"nld": "vos", "eng": "red fox"},
}
GENUS = {"scientificName": "Ardea", "taxonRank": "genus", "vernacularNames": {"nld": "reigers"}}
DESCRIPTION = {
    "resources": [
        {
            "name": name,
            "path": f"{name}.csv",
            "profile": "tabular-data-resource",
            "schema": PROFILE.replace("camtrap-dp-profile", f"{name}-table-schema"),
        }
        for name in COLUMNS
    ],
    "profile": PROFILE,
    "name": "foxes",
    "created": "2024-01-01T00:00:00Z",
    "contributors": [{"title": "A. Person"}],
    "licenses": [
        {"name": "CC0-1.0", "scope": "data"},
        {"path": "http://creativecommons.org/licenses/by/4.0/", "scope": "media"},
    ],
    "project": {
        "title": "Foxes",
        "samplingDesign": "opportunistic",
        "captureMethod": ["activityDetection"],
        "individualAnimals": False,
        "observationLevel": ["media", "event"],
    },
    "spatial": {"type": "Point", "coordinates": [4.774, 51.496]},
    "temporal": {"start": "2020-05-30", "end": "2020-07-01"},
    "taxonomic": [FOX, GENUS],
}


def medium(name, time="2020-06-01T12:00:00+02:00", **cells):
    return {
        "mediaID": name,
        "deploymentID": "d1",
        "timestamp": time,
        "filePath": f"media/{name}.jpg",
        "filePublic": "true",
        "fileMediatype": "image/jpeg",
    } | cells


def seen(name, kind="animal", media="m1", **cells):
    """An observation of a photo; of an event where ``media`` is empty."""
    return {
        "observationID": name,
        "deploymentID": "d1",
        "mediaID": media,
        "eventStart": "2020-06-01T10:00:00Z",
        "eventEnd": "2020-06-01T10:00:05Z",
        "observationLevel": "media" if media else "event",
        "observationType": kind,
    } | cells


def write_package(folder, media=(), observations=(), deployments=(DEPLOYMENT,), **facts):
    """Write a package, and empty files as photos; return its folder."""
    tables = {"deployments": deployments, "media": media, "observations": observations}
    for name, rows in tables.items():
        write_csv(folder / f"{name}.csv", COLUMNS[name], rows)
    (folder / "datapackage.json").write_text(json.dumps(DESCRIPTION | facts))
    for row in media:
        path = row.get("filePath", "")
        if path.startswith("media/"):
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).touch()
    return folder


def write_csv(path, columns, rows):
    """Write a table; columns that a row does not name are empty."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def burst(*seconds):
    """Photos of one minute, at these seconds."""
    return [medium(f"m{s}", f"2020-06-01T12:00:{s:02}+02:00") for s in seconds]
