"""The verb ``adopt``: a classifier from elsewhere, its labels and records become a world.

The world has no experts. Its class rows are cut for a place as those of every world; its evidence
and numbers come from photos, where the user has some, through the runtime and without torch.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pyarrow.parquet as pq
from numpy.typing import NDArray

from homerange import __version__
from homerange.data.answers import Answers, Unreadable
from homerange.data.importers.occurrences import Records, read_records
from homerange.data.manifest import SPLITS, Manifest, schema
from homerange.errors import ModelError, OccurrenceError, WorldError
from homerange.profile.adopt.labels import Label, read_labels
from homerange.profile.adopt.network import Network, read_network
from homerange.profile.adopt.photos import answer_photos
from homerange.profile.adopt.pixels import Pixels
from homerange.profile.adopt.write import NAMES, check_same_answers, world_graph, write_graph
from homerange.profile.judged import judged_photos, with_metrics
from homerange.profile.licence import licence_of
from homerange.profile.records import added_occurrence, evidence, occurrence, profile_counts
from homerange.profile.taxa import taxa
from homerange.specialize.count import count_macs, count_parameters
from homerange.world.description import (
    ADOPTED,
    OCCURRENCES,
    Architecture,
    Description,
    Licence,
    Provenance,
)
from homerange.world.occurrences import OccurrenceFile, add_occurrences
from homerange.world.parquet import strings
from homerange.world.tables import Evidence, Occurrence, Profile
from homerange.world.world import make_world_folder, seal_world

__all__ = ["Adopted", "adopt"]


@dataclass(frozen=True, kw_only=True)
class Adopted:
    """A world as it was written."""

    folder: Path
    labels: tuple[Label, ...]
    features: int
    difference: float
    """Between answers of the model and of the world, as a share of the largest answer."""
    photos: int
    """Validation and test photos that were run."""
    with_records: int
    """Classes that some record names; only they can stand on the list of a place."""
    unreadable: tuple[Unreadable, ...]


def adopt(
    model: Path,
    labels: Path,
    output: Path,
    *,
    pixels: Pixels,
    licence: str,
    occurrences: Path | None = None,
    photos: Path | None = None,
) -> Adopted:
    """Make a world of an image classifier.

    Args:
        model: An ``.onnx`` file with one input, a photo, and one linear layer before its answer.
        labels: One label for each class row; see :mod:`homerange.profile.adopt.labels`.
        output: Folder of the world; made if absent.
        pixels: What becomes of the pixels of a photo before they enter the network.
        licence: Of the model, and of photos and records that state none.
        occurrences: Records of species: a file of ``homerange import gbif``, a manifest, or any
            table with species, latitude and longitude.
        photos: A manifest. Photos of its splits val and test are run, for accuracy and evidence;
            photos of train and val are records of where species live.

    Returns:
        What was written.

    Raises:
        ModelError: If the model cannot be taken apart, or does not fit its labels.
        ManifestError: If the photos or records cannot be read.
        WorldError: If ``output`` holds a world, or cannot be made.
    """
    if (output / "world.json").exists():
        raise WorldError(f"{output}: holds a world already. Adopt into another folder")
    given = Manifest.read(photos) if photos else Manifest(schema().empty_table(), Path())
    judged = judged_photos(given, photos) if photos else given
    records = _Records.read(occurrences)
    found = read_labels(labels, _known_names(given, records))
    network = read_network(model, pixels, len(found))
    graph = world_graph(network, pixels)
    difference = check_same_answers(network, pixels, graph)
    facts = _describe(output.resolve().name, network, pixels, graph, given, records, licence)
    make_world_folder(output)  # before the photos are run: what is computed must find its place
    classes = [label.name for label in found]
    answers = answer_photos(graph, facts.preprocessing, judged, classes)
    _write_tables(output, found, given, judged, answers, records)
    write_graph(graph, output)
    seal_world(output, with_metrics(facts, judged, answers, classes))
    recorded = set(Occurrence.query(output, "SELECT DISTINCT species FROM source")["species"])
    return Adopted(
        folder=output,
        labels=found,
        features=facts.architecture.feature_size,
        difference=difference,
        photos=len(answers.row_N),
        with_records=len(recorded.intersection(classes)),
        unreadable=tuple(answers.unreadable),
    )


@dataclass(frozen=True, kw_only=True)
class _Records:
    """Records from a file, of one of two kinds; or none."""

    table: Records | None = None
    file: OccurrenceFile | None = None
    name: str = ""

    @classmethod
    def read(cls, path: Path | None) -> "_Records":
        """Read a table of records, or open what ``homerange import gbif`` wrote."""
        if path is None:
            return cls()
        try:
            file = OccurrenceFile.open(path)
        except OccurrenceError:
            return cls(table=read_records(path), name=path.name)
        return cls(file=file, name=file.source)

    @property
    def licences(self) -> Counter[str]:
        """Records by licence; an empty text where none is stated."""
        if self.file is not None:
            return Counter(self.file.licences)
        return Counter() if self.table is None else Counter(self.table.licence_N.tolist())

    def species(self) -> set[str]:
        """Return the scientific names that the records give."""
        if self.file is not None:
            return set(pq.read_table(self.file.path, columns=["species"])["species"].to_pylist())
        return set() if self.table is None else set(self.table.species_N.tolist())


def _known_names(photos: Manifest, records: _Records) -> dict[str, str]:
    """Return scientific names by what photos and records call them, in small letters."""
    known = {name.casefold(): name for name in records.species()}
    pairs = zip(photos.strings("common_name"), photos.strings("species"), strict=True)
    named = {(common.casefold(), name) for common, name in pairs if common and name}
    times = Counter(common for common, _ in named)
    known |= {common: name for common, name in named if times[common] == 1}
    return known | {name.casefold(): name for name in photos.strings("species") if name}


def _write_tables(
    folder: Path,
    labels: Sequence[Label],
    photos: Manifest,
    judged: Manifest,
    answers: Answers,
    records: _Records,
) -> None:
    named = taxa(photos, [label.name for label in labels])
    replace(
        named,
        common_name=_filled(named.common_name, [label.common_name for label in labels]),
        taxon_class=_filled(named.taxon_class, [label.taxon_class for label in labels]),
        taxon_order=_filled(named.taxon_order, [label.taxon_order for label in labels]),
        taxon_family=_filled(named.taxon_family, [label.taxon_family for label in labels]),
        taxon_genus=_filled(named.taxon_genus, [label.taxon_genus for label in labels]),
    ).write(folder)
    of_photos = occurrence(photos)
    if records.table is not None:
        of_photos = _joined(of_photos, added_occurrence(records.table))
    of_photos.write(folder)
    if records.file is not None:
        add_occurrences(folder, records.file)
    (profile_counts(judged, answers) if len(judged) else Profile.of({})).write(folder)
    (evidence(judged, answers) if len(judged) else _no_evidence()).write(folder)


def _filled(found_C: NDArray[np.object_], label_C: Sequence[str]) -> NDArray[np.object_]:
    """Prefer what the labels say; photos fill the rest."""
    pairs = zip(label_C, found_C.tolist(), strict=True)
    return strings(own or other for own, other in pairs)


def _joined(one: Occurrence, other: Occurrence) -> Occurrence:
    columns = {
        name: np.concatenate([getattr(one, name), getattr(other, name)])
        for name in ("species", "cell", "month", "source", "uncertainty_km", "count_band")
    }
    return Occurrence.of(columns)


def _no_evidence() -> Evidence:
    return replace(Evidence.of({}), feature=np.empty((0, 0), np.float16))


def _describe(
    name: str,
    network: Network,
    pixels: Pixels,
    graph: onnx.ModelProto,
    photos: Manifest,
    records: _Records,
    licence: str,
) -> Description:
    """Gather the facts of a world, short of its metrics."""
    labelled = photos.labelled()
    licences = labelled.strings("licence")
    terms = licence_of([licence, *licences], records=records.licences, otherwise=licence)
    of_photos = Counter(terms.rows) - Counter([licence])  # the model itself is no photo
    sources = Counter(source or "" for source in labelled.strings("source"))
    if records.name:
        sources[f"{OCCURRENCES}{records.name}"] = records.licences.total()
    sha256 = hashlib.sha256(network.path.read_bytes()).hexdigest()
    try:
        parameters, macs = count_parameters(graph), count_macs(graph)
    except WorldError as error:
        raise ModelError(f"{network.path}: {error}") from error
    classes, feature_size = network.last.weight_CD.shape
    return Description(
        name=name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        homerange=__version__,
        architecture=Architecture(
            backbone=network.path.stem,
            head="plain",
            expert_layers=(),
            feature_size=feature_size,
            classes=classes,
        ),
        preprocessing=pixels.preprocessing(network.input_px),
        graph=NAMES,
        parameters=parameters,
        macs=macs,
        provenance=Provenance(
            recipe=ADOPTED,
            start=f"{network.path.name} (licence {licence}), sha256 {sha256}",
            seed=0,
            photos={split: len(labelled.split(split)) for split in SPLITS},
            sources=dict(sources),
        ),
        licence=Licence(weights=terms.weights, rows=dict(of_photos)),
        metrics={},
    )
