"""Who answered: package, model, list and place, as every format of results carries it."""

from homerange import __version__
from homerange.errors import PlaceError
from homerange.geo.place import place_from_json
from homerange.world.place_package import PlacePackage

__all__ = ["STAMP_COLUMNS", "classifier", "stamp", "stamp_cells"]

STAMP_COLUMNS = ("package", "package_sha256", "model_sha256", "list_sha256", "place")


def classifier(package: PlacePackage) -> str:
    """Name the classifier in one line, for formats that have a field for that."""
    return f"{package.name} homerange {__version__}"


def stamp(package: PlacePackage) -> dict[str, object]:
    """Return the hashes and the place, as values that JSON can hold.

    ``model_sha256`` is that of ``model.onnx``, ``list_sha256`` that of ``labels.txt``: two packages
    with the same list have the same, whatever model they hold.
    """
    return {
        "package_sha256": package.sha256,
        "model_sha256": _sha256(package, "model.onnx"),
        "list_sha256": _sha256(package, "labels.txt"),
        "place": package.place.get("place"),
    }


def stamp_cells(package: PlacePackage) -> dict[str, str]:
    """Return the same as cells of a table, one for each of `STAMP_COLUMNS`."""
    cells = {key: str(value) for key, value in stamp(package).items()}
    return {"package": classifier(package), **cells, "place": _words(package)}


def _sha256(package: PlacePackage, member: str) -> str:
    files = package.place["files"]
    assert isinstance(files, dict)  # the reader checked it
    return str(files[member]["sha256"])


def _words(package: PlacePackage) -> str:
    place = package.place.get("place")
    try:
        return place_from_json(place).describe() if isinstance(place, dict) else ""
    except PlaceError:  # of a kind that this version does not know: its name still says something
        return str(place.get("kind", "")) if isinstance(place, dict) else ""
