"""Results as SpeciesNet 5 writes them, ``predictions.json`` of format_version "20261015".

Source: the README of SpeciesNet 5.0.6 ("Output format from run_model"). Wildlife Insights takes
such files in. A photo has one detection around all of it, of category "0"
(``whole_image_classification``), as SpeciesNet's own whole-image classifier has; its classes are
``id;class;order;family;genus;species;common name`` with SpeciesNet's own strings for blanks, people
and vehicles.

Where we differ: a photo that cannot be read has the key ``failure_reason`` beside ``failures``,
because "CLASSIFIER" alone is no reason, and ``info`` says who answered.
``processed_classification`` is the best answer: a package knows its place already, so there is
nothing to fence off afterwards.
"""

import json
from collections.abc import Iterable
from typing import BinaryIO

from homerange.run.answers import Answer
from homerange.run.looks import Category, Look, Ranked
from homerange.run.results.naming import Naming, name_of, seven_parts
from homerange.run.results.stamp import classifier, stamp
from homerange.run.sources import Photo
from homerange.world.place_package import PlacePackage

__all__ = ["FORMAT_VERSION", "prediction", "write_speciesnet"]

FORMAT_VERSION = "20261015"

_OWN = {
    "blank": "f1856211-cfb7-4a5b-9158-c0f72fd09ee6;;;;;;blank",
    "person": (
        "990ae9dd-7a59-4344-afcb-1b7b21368000;mammalia;primates;hominidae;homo;sapiens;human"
    ),
    "vehicle": "e2895ed5-780b-48f6-8a11-9e27cb594511;;;;;;vehicle",
}

_BOX_OF: dict[Category, tuple[str, str]] = {
    "animal": ("1", "animal"),
    "person": ("2", "human"),
    "vehicle": ("3", "vehicle"),
}


def write_speciesnet(
    file: BinaryIO, package: PlacePackage, answers: Iterable[tuple[Photo, Answer]]
) -> None:
    """Write the answers as one JSON file, holding one photo in memory at a time.

    Args:
        file: Where to write UTF-8 to.
        package: The package that gave the answers.
        answers: Every photo with its answer, in the order of the file.
    """
    info = {"format_version": FORMAT_VERSION, "homerange": stamp(package)}
    file.write(f'{{"info": {_dump(info)},\n"predictions":['.encode())
    separator = "\n"
    for photo, answer in answers:
        file.write(f"{separator}{_dump(prediction(photo, answer, package))}".encode())
        separator = ",\n"
    file.write(b"\n]}\n")


def prediction(photo: Photo, answer: Answer, package: PlacePackage) -> dict[str, object]:
    """Return what the format says about one photo.

    Args:
        photo: The photo; what its instances file said about it is handed on.
        answer: What the run found out about it.
        package: The package that gave the answer.
    """
    entry: dict[str, object] = {"filepath": photo.file, **dict(photo.given)}
    version = f"{classifier(package)} {package.sha256[:12]}"
    if answer.failure is not None:
        failed = {"failures": ["CLASSIFIER"], "failure_reason": answer.failure}
        return {**entry, **failed, "model_version": version}
    if answer.looks is not None:
        found = [_detection(look, package) for look in answer.looks]
        return {**entry, "detections": found, "model_version": version}
    whole = {
        "category": "0",
        "label": "whole_image_classification",
        "conf": 1.0,
        "bbox": [0.0, 0.0, 1.0, 1.0],
    }
    whole |= _classifications(answer.top, package)
    return {**entry, "detections": [whole], "model_version": version}


def _detection(look: Look, package: PlacePackage) -> dict[str, object]:
    """Return a box as the detector has it, and what the second look made of it."""
    category, label = _BOX_OF[look.box.category]
    box: dict[str, object] = {"category": category, "label": label}
    box |= {"conf": look.box.confidence, "bbox": list(look.box.bbox)}
    return box | _classifications(look.top, package) if look.top else box


def _classifications(top: Ranked, package: PlacePackage) -> dict[str, object]:
    classes = [_class(name_of(index, package)) for index, _ in top]
    scores = [round(probability, 4) for _, probability in top]
    best = {"class": classes[0], "score": scores[0], "source": "classifier"}
    return {
        "raw_classifications": {"classes": classes, "scores": scores},
        "processed_classification": best,
    }


def _class(name: Naming) -> str:
    return _OWN.get(name.outcome) or seven_parts(name).lower()


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
