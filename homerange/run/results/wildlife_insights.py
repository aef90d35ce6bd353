"""Results as ``images.csv`` of a batch upload to Wildlife Insights.

Source: names and values of megadetector-utils 10 (``cct_to_wi.py``), which follow the templates of
ConservationInternational/Wildlife-Insights----Data-Migration. The site has no public validator:
compare the columns with the template of your project before you upload. ``wi_taxon_id`` stays
empty. ``project_id`` is that of the table of deployments.

The format has no field for a photo that could not be read: it is a row without a taxon, and the
reason stands in ``individual_animal_notes``.
"""

import csv
import io
from collections.abc import Iterable
from typing import BinaryIO

from homerange.run.answers import Answer
from homerange.run.results.fieldwork import Fieldwork
from homerange.run.results.naming import best_name
from homerange.run.results.stamp import classifier
from homerange.run.sources import Photo
from homerange.world.place_package import PlacePackage

__all__ = ["WI_COLUMNS", "write_wildlife_insights"]

WI_COLUMNS = (
    "project_id deployment_id image_id location is_blank identified_by wi_taxon_id class order "
    "family genus species common_name uncertainty timestamp age sex animal_recognizable "
    "individual_id number_of_objects individual_animal_notes highlighted markings"
).split()


def write_wildlife_insights(
    file: BinaryIO,
    package: PlacePackage,
    answers: Iterable[tuple[Photo, Answer]],
    fieldwork: Fieldwork,
) -> None:
    """Write the answers as CSV, holding one photo in memory at a time.

    Args:
        file: Where to write UTF-8 to.
        package: The package that gave the answers.
        answers: Every photo with its answer, in the order of the rows.
        fieldwork: Names the deployment and the project of each folder.
    """
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    rows = csv.DictWriter(text, WI_COLUMNS, restval="", lineterminator="\n")
    rows.writeheader()
    identified_by = f"{classifier(package)} {package.sha256[:12]}"
    for photo, answer in answers:
        rows.writerow(_row(photo, answer, package, fieldwork) | {"identified_by": identified_by})
    text.detach()  # flushes, and leaves the file open to its owner


def _row(
    photo: Photo, answer: Answer, package: PlacePackage, fieldwork: Fieldwork
) -> dict[str, str]:
    folder = fieldwork.deployment(photo.folder)
    deployment = (fieldwork.deployments or {}).get(folder or "", {})
    row = {
        "project_id": deployment.get("project_id", ""),
        "deployment_id": fieldwork.name(photo.folder if folder is None else folder),
        "image_id": photo.file,
        "location": photo.file,
        "timestamp": _local(answer.datetime),
        "animal_recognizable": "No",
        "highlighted": "0",
    }
    name = best_name(answer, package)
    if name is None:
        return row | {"individual_animal_notes": f"could not be read: {answer.failure}"}
    blank = name.outcome == "blank"
    seen = sum(look.sure for look in answer.looks or ()) or int(not blank)
    row |= {"is_blank": str(int(blank)), "number_of_objects": str(seen)}
    if name.outcome == "person":
        taxon = {"class": "Mammalia", "order": "Primates", "family": "Hominidae"}
        return row | taxon | {"genus": "Homo", "species": "sapiens", "common_name": "Human"}
    return row | {
        "genus": name.genus,
        "species": name.epithet,
        "common_name": name.common_name if name.is_animal else name.label.capitalize(),
    }


def _local(time: str | None) -> str:
    """The camera's own clock, as the site wants it."""
    return "" if time is None or "T" not in time else time[:19].replace("T", " ")
