"""Results in the MegaDetector batch format 1.6, which Timelapse, AddaxAI and others read.

Source: https://lila.science/megadetector-output-format. Where a detector looked first, each of its
boxes is there as it gave it, those of animals with our classes; a photo without boxes is empty.
Without one a photo with an animal has one box around all of it, of category "1" (animal), or "2"
and "3" where the answer is ``person`` or ``vehicle``; its confidence is 1 - p(blank), and a photo
whose best answer is ``blank`` has no boxes. A photo that could not be read has a ``failure`` and
``detections: null``. A video has one box, at the frame that is most sure of its answer.

The file is written photo by photo. It holds no time of writing: the same photos and the same
package give the same bytes.
"""

import json
from collections.abc import Iterable
from typing import BinaryIO

from homerange.run.answers import Answer
from homerange.run.looks import Look, Ranked
from homerange.run.results.naming import name_of, seven_parts
from homerange.run.results.stamp import classifier, stamp
from homerange.run.sources import Photo
from homerange.world.place_package import PlacePackage

__all__ = ["image_entry", "write_megadetector"]

FORMAT_VERSION = "1.6"
DETECTION_CATEGORIES = {"1": "animal", "2": "person", "3": "vehicle"}
WHOLE_PHOTO = [0.0, 0.0, 1.0, 1.0]
MIN_PROBABILITY = 0.001
"""Answers below it are left out, but never the best one."""

_BOX_OF = {"person": "2", "vehicle": "3"}


def write_megadetector(
    file: BinaryIO,
    package: PlacePackage,
    answers: Iterable[tuple[Photo, Answer]],
    first_look: str = "",
) -> None:
    """Write the answers as one JSON file, holding one photo in memory at a time.

    Args:
        file: Where to write UTF-8 to.
        package: The package that gave the answers.
        answers: Every photo with its answer, in the order of the file.
        first_look: Which detector looked first; empty without one.
    """
    head = _dump(_head(package, first_look)).removesuffix("}")
    file.write(f'{head},\n"images":['.encode())
    separator = "\n"
    for photo, answer in answers:
        file.write(f"{separator}{_dump(image_entry(photo.file, answer, package))}".encode())
        separator = ",\n"
    file.write(b"\n]}\n")


def image_entry(file: str, answer: Answer, package: PlacePackage) -> dict[str, object]:
    """Return what the format says about one photo.

    Args:
        file: Name of the photo in the results.
        answer: What the run found out about it.
        package: The package that gave the answer.
    """
    entry: dict[str, object] = {"file": file}
    if answer.datetime is not None:
        entry["datetime"] = answer.datetime
    if answer.failure is not None:
        return {**entry, "failure": answer.failure, "detections": None}
    if answer.looks is not None:
        return {**entry, "detections": [_detection(look) for look in answer.looks]}
    if answer.video is not None:
        entry["frame_rate"] = answer.video.frames_per_s
        entry["frames_processed"] = list(answer.video.frames)
    best = name_of(answer.top[0][0], package).outcome
    if best == "blank":
        return {**entry, "detections": []}
    box: dict[str, object] = {
        "category": _BOX_OF.get(best, "1"),
        "conf": 1.0 if answer.blank is None else round(1 - answer.blank, 4),
        "bbox": WHOLE_PHOTO,
        "classifications": _classifications(answer.top),
    }
    if answer.video is not None:
        box["frame_number"] = answer.video.best
    return {**entry, "detections": [box]}


def _detection(look: Look) -> dict[str, object]:
    """Return a box as the detector has it, and what the second look made of it."""
    box: dict[str, object] = {
        "category": _BOX_OF.get(look.box.category, "1"),
        "conf": look.box.confidence,
        "bbox": list(look.box.bbox),
    }
    return {**box, "classifications": _classifications(look.top)} if look.top else box


def _classifications(top: Ranked) -> list[list[object]]:
    first, *others = top
    kept = [first, *(other for other in others if other[1] >= MIN_PROBABILITY)]
    return [[str(index), round(probability, 4)] for index, probability in kept]


def _head(package: PlacePackage, first_look: str) -> dict[str, object]:
    labels = dict(enumerate(package.labels))
    return {
        "info": {
            "format_version": FORMAT_VERSION,
            "detector": first_look or "none",
            "classifier": classifier(package),
            "classifier_metadata": {
                **stamp(package),
                "preprocessing": package.preprocessing.to_json(),
            },
        },
        "detection_categories": DETECTION_CATEGORIES,
        "classification_categories": {str(index): label for index, label in labels.items()},
        "classification_category_descriptions": {
            str(index): seven_parts(name_of(index, package)) for index in labels
        },
    }


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
