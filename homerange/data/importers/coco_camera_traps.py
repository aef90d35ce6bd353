"""Import COCO Camera Traps JSON, the format of LILA and iWildCam, with boxes where it has them.

Source: COCO Camera Traps as MegaDetector's data management documents it: ``images``,
``categories``, ``annotations``; ``bbox`` is [x, y, width, height] in pixels, ``bbox_relative`` the
same in shares of the photo. iWildCam adds ``gps_locations.json``: coordinates by location.

What we decide:
    - one annotation is one row; a photo without annotations is one unlabelled row;
    - a category that looks like ``Genus species`` is the species; any other name becomes the
      class key all the same and is kept as the common name too;
    - the name tells a blank, not the id 0, because some data sets count their species from 0;
    - rows are counted as annotations from 1, then photos without annotations.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from homerange.data.importers import Imported, complete, read_cells
from homerange.data.importers.folder import image_key
from homerange.data.importers.json_file import read_object
from homerange.data.manifest import BOX_COLUMNS, Refused
from homerange.data.names import class_key, looks_scientific, outcome
from homerange.data.times import read_time
from homerange.errors import ManifestError

__all__ = ["import_coco"]

_Entry = Mapping[str, object]


def import_coco(
    source: Path, *, photos: Path | None = None, gps: Path | None = None, seed: int = 0
) -> Imported:
    """Import a COCO Camera Traps file.

    Args:
        source: The JSON file.
        photos: Folder that ``file_name`` starts from; the folder of the file by default.
        gps: JSON of coordinates by location: ``{"12": {"latitude": -2.3, "longitude": 34.8}}``.
        seed: Seed of the splits.

    Returns:
        The manifest, the refused rows and notes.

    Raises:
        ManifestError: If a file cannot be read, or no row can be used.
        CoordinateError: If latitude and longitude look swapped.
    """
    coco = _Coco.read(source, gps)
    rows: list[tuple[int, dict[str, object]]] = []
    refused = []
    for number, image, annotation in coco.observations():
        try:
            rows.append((number, coco.row(image, annotation)))
        except ManifestError as error:
            refused.append(Refused(number, _text(image.get("file_name")) or "", str(error)))
    row = [number for number, _ in rows]
    notes = coco.notes()
    columns = {name: [cells.get(name) for _, cells in rows] for name in _names(rows)}
    times = [_text(cells.get("datetime")) for _, cells in rows]
    columns["datetime"] = read_cells(times, read_time, what="times", row=row, notes=notes)
    return complete(
        columns,
        source=source,
        photos=source.parent if photos is None else photos,
        row=row,
        refused=refused,
        notes=notes,
        seed=seed,
    )


@dataclass(frozen=True)
class _Coco:
    """The lists of a COCO file, by id."""

    images: dict[str, _Entry]
    annotations: list[_Entry]
    categories: dict[str, str]
    licences: dict[str, str]
    places: Mapping[str, _Entry]
    source: str

    @classmethod
    def read(cls, source: Path, gps: Path | None) -> "_Coco":
        """Read the JSON and the coordinates of its locations."""
        content = read_object(source)
        images = _entries(content, "images", source)
        categories = _entries(content, "categories", source)
        licences = _entries({"licenses": [], **content}, "licenses", source)
        places = {} if gps is None else read_object(gps)
        return cls(
            images={_text(image.get("id")) or f"#{i}": image for i, image in enumerate(images)},
            annotations=_entries({"annotations": [], **content}, "annotations", source),
            categories={_id(one, "id"): _text(one.get("name")) or "" for one in categories},
            licences={_id(one, "id"): _text(one.get("name")) or "" for one in licences},
            places={key: place for key, place in places.items() if isinstance(place, Mapping)},
            source=source.stem,
        )

    def observations(self) -> Iterator[tuple[int, _Entry, _Entry | None]]:
        """Yield (row number, image, annotation); the image is empty where there is none."""
        for i, annotation in enumerate(self.annotations, start=1):
            yield i, self.images.get(_id(annotation, "image_id"), {}), annotation
        annotated = {_id(annotation, "image_id") for annotation in self.annotations}
        alone = [image for key, image in self.images.items() if key not in annotated]
        for i, image in enumerate(alone, start=len(self.annotations) + 1):
            yield i, image, None

    def row(self, image: _Entry, annotation: _Entry | None) -> dict[str, object]:
        """Return one row of the manifest; raise ManifestError with the reason it cannot be."""
        if not image and annotation is not None:
            raise ManifestError(f"no image has the id {_id(annotation, 'image_id')!r}")
        name = _text(image.get("file_name"))
        if name is None:
            raise ManifestError("the image has no file_name")
        if image.get("corrupt") is True:
            raise ManifestError("the data set marks the photo as corrupt")
        location = _text(image.get("location"))
        place = self.places.get(location or "", image)
        row = {
            "image": image_key(name),
            "latitude_deg": _number(place.get("latitude", place.get("lat"))),
            "longitude_deg": _number(place.get("longitude", place.get("lon"))),
            "datetime": image.get("datetime", image.get("date_captured")),
            "location_id": location,
            "sequence_id": _text(image.get("seq_id")),
            "source": self.source,
            "licence": self.licences.get(_id(image, "license")),
        }
        return (
            row if annotation is None else row | self._label(annotation) | _box(annotation, image)
        )

    def _label(self, annotation: _Entry) -> dict[str, object]:
        name = self.categories.get(_id(annotation, "category_id"))
        if name is None:
            raise ManifestError(f"no category has the id {_id(annotation, 'category_id')!r}")
        known = looks_scientific(name) or outcome(name) is not None
        return {
            "observation_id": _text(annotation.get("id")),
            "species": class_key(name),
            "common_name": None if known else name,
        }

    def notes(self) -> list[str]:
        """Count what the user should know."""
        whole = sum(one.get("sequence_level_annotation") is True for one in self.annotations)
        what = "labels were given to whole sequences: some of their photos may be blank"
        return [f"{whole:,} {what}"] if whole else []


def _names(rows: list[tuple[int, dict[str, object]]]) -> set[str]:
    return {name for _, cells in rows for name in cells}


def _box(annotation: _Entry, image: _Entry) -> dict[str, object]:
    relative, absolute = annotation.get("bbox_relative"), annotation.get("bbox")
    if relative is None and absolute is None:
        return {}
    box = _numbers(absolute if relative is None else relative)
    if len(box) != 4:
        raise ManifestError(f"the box is {relative or absolute}; expected [x, y, width, height]")
    if relative is None:
        width, height = _number(image.get("width")), _number(image.get("height"))
        if not width or not height:
            raise ManifestError("the box is in pixels, but the image has no width and height")
        box = [box[0] / width, box[1] / height, box[2] / width, box[3] / height]
    return dict(zip(BOX_COLUMNS, box, strict=True))


def _entries(content: Mapping[str, object], key: str, source: Path) -> list[_Entry]:
    entries = content.get(key)
    if not isinstance(entries, list):
        raise ManifestError(
            f"{source}: not COCO Camera Traps, it has no list {key!r}; it has {', '.join(content)}"
        )
    return [entry if isinstance(entry, Mapping) else {} for entry in entries]


def _id(entry: _Entry, key: str) -> str:
    return _text(entry.get(key)) or ""


def _text(value: object) -> str | None:
    return str(value).strip() or None if isinstance(value, str | int | float) else None


def _number(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, str | int | float) else None
    except ValueError:
        return None


def _numbers(values: object) -> list[float]:
    numbers = [_number(value) for value in values] if isinstance(values, list) else []
    return [number for number in numbers if number is not None]
