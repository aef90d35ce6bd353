"""The columns of Camtrap DP 1.0.2, all of them, in the order of its table schemas."""

__all__ = ["COLUMNS", "MEDIA_TYPES", "PROFILE", "schema_url"]

_BASE = "https://raw.githubusercontent.com/tdwg/camtrap-dp/1.0.2"
PROFILE = f"{_BASE}/camtrap-dp-profile.json"

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

MEDIA_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".avi": "video/x-msvideo",
    ".mov": "video/quicktime",
    ".mkv": "video/x-matroska",
    ".mts": "video/mp2t",
}
"""Suffix of a photo or video -> its media type."""


def schema_url(table: str) -> str:
    """Return the address of a table's schema, by which validators know it."""
    return f"{_BASE}/{table}-table-schema.json"
