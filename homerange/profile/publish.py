"""The verb ``profile``: run a checkpoint over validation and test photos, publish a world."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import onnx

from homerange import __version__
from homerange.data.answers import Answers, Unreadable
from homerange.data.manifest import SPLITS, Manifest
from homerange.errors import CheckpointError, ConfigError, WorldError
from homerange.model.checkpoint import WEIGHTS, CheckpointConfig, load_checkpoint
from homerange.model.network import SpeciesNetwork
from homerange.model.range import RangeFacts
from homerange.profile.drops import exact_drops
from homerange.profile.expert_sums import expert_layers, expert_sums
from homerange.profile.export import GRAPH, INPUT, OUTPUT, export_graph
from homerange.profile.export_range import export_range, load_publishable
from homerange.profile.fold import fold_batch_norm
from homerange.profile.judged import judged_photos, with_metrics
from homerange.profile.licence import licence_of, licence_rows
from homerange.profile.mean_answers import fill_mean_answers
from homerange.profile.ranges import activation_ranges
from homerange.profile.records import evidence, occurrence, profile_counts
from homerange.profile.taxa import taxa
from homerange.specialize.count import count_macs, count_parameters
from homerange.train.infer import infer
from homerange.train.stage import sha256_of
from homerange.world.description import (
    OCCURRENCES,
    Architecture,
    Description,
    DropRule,
    Graph,
    Licence,
    Provenance,
)
from homerange.world.expert_tables import Drops
from homerange.world.occurrences import OccurrenceFile, add_occurrences
from homerange.world.world import make_world_folder, seal_world

__all__ = ["Published", "publish"]

CLASS_WEIGHT, CLASS_BIAS = "head.classes.weight", "head.classes.bias"


@dataclass(frozen=True)
class Published:
    """A world as it was written."""

    folder: Path
    classes: int
    photos: int
    """Validation and test photos that were run."""
    unreadable: list[Unreadable]


def publish(
    checkpoint: Path,
    manifest: Path,
    output: Path,
    *,
    name: str | None = None,
    licence: str | None = None,
    exact: int = 0,
    drop_rule: DropRule = "reroute",
    range_model: Path | None = None,
    occurrences: Path | None = None,
) -> Published:
    """Publish a checkpoint as a world.

    Args:
        checkpoint: A trained network with a class head.
        manifest: The photos that it was trained on, with splits.
        output: Folder of the world; made if absent.
        name: Name of the world; that of the folder otherwise.
        licence: Licence of photos that state none.
        exact: With experts: photos of each class for which every expert is dropped in turn.
        drop_rule: With experts: what becomes of the tokens of a dropped one, here and in every
            place that is cut from the world; see ``homerange.model.experts``.
        range_model: Folder of a range model, as ``homerange train range`` writes it; what it knows
            of the world's species is published with them.
        occurrences: Records of species beside the photos, as ``homerange import gbif`` writes.

    Raises:
        CheckpointError: If the checkpoint has no class head, or the range model learnt from records
            finer than what a world may say or knows none of its species.
        ConfigError: If there are no experts and a drop rule other than ``reroute`` is given.
        ManifestError: If the manifest has no labelled validation or test photo.
        OccurrenceError: If ``occurrences`` is no file of records.
        WorldError: If photos state no licence and none is given, or ``output`` holds a world.
    """
    if (output / "world.json").exists():
        raise WorldError(f"{output}: holds a world already. Publish into another folder")
    added = None if occurrences is None else OccurrenceFile.open(occurrences)
    network, config = _load(checkpoint, drop_rule)
    photos = Manifest.read(manifest)
    rows = licence_rows(photos, teacher=bool(config.recipe.get("teacher")))
    ranges = load_publishable(range_model, config.classes) if range_model else None
    records = Counter(_records_by_licence(ranges.facts, manifest) if ranges else {})
    records.update(added.licences if added else {})
    terms = licence_of(rows, records=records, otherwise=licence)
    judged = judged_photos(photos, manifest)
    make_world_folder(output)  # before the photos are run: what is computed must find its place
    answers = infer(network, config, judged, title="profile")
    network = network.cpu()
    _take_rule(network, config, judged, drop_rule)
    layers = export_graph(network, output, input_px=config.preprocessing.input_px)
    _write_tables(photos, judged, answers, config, output, added)
    if ranges:
        export_range(ranges, output)
    if any(layer.experts for layer in layers):
        _write_expert_tables(network, config, judged, output, exact)
    graph = Graph(
        input=INPUT,
        output=OUTPUT,
        class_weight=CLASS_WEIGHT,
        class_bias=CLASS_BIAS,
        experts=tuple(layers),
        drop_rule=drop_rule,
    )
    facts = _describe(
        name or output.resolve().name, network, config, photos, terms, graph, output, added
    )
    seal_world(
        output,
        with_metrics(facts, judged, answers, config.classes, learnt_from=photos.split("train")),
    )
    return Published(output, len(config.classes), len(judged), answers.unreadable)


def _records_by_licence(facts: RangeFacts, manifest: Path) -> dict[str, int]:
    """Return the records that a range model learnt from; none where they are the world's photos."""
    if facts.provenance["records_sha256"] == sha256_of(manifest):
        return {}
    licences = facts.provenance["licences"]
    assert isinstance(licences, dict)
    return {str(words): int(number) for words, number in licences.items()}


def _load(checkpoint: Path, rule: DropRule) -> tuple[SpeciesNetwork, CheckpointConfig]:
    """Load a checkpoint that can be published, without its batch norm."""
    network, config = load_checkpoint(checkpoint)
    if network.head is None:
        raise CheckpointError(
            f"{checkpoint}: an encoder without classes. Train it on labelled photos first: "
            f"homerange train dense MANIFEST --set start={checkpoint}/{WEIGHTS}"
        )
    if rule != "reroute" and not expert_layers(network):
        raise ConfigError(
            f"drop rule {rule}: {checkpoint} has no experts that could be dropped. Leave the rule "
            "out, or train experts first: homerange train experts"
        )
    return fold_batch_norm(network), config


def _take_rule(
    network: SpeciesNetwork, config: CheckpointConfig, judged: Manifest, rule: DropRule
) -> None:
    """Tell the experts by which rule they are judged and cut; nothing is dropped yet."""
    for mlp in expert_layers(network).values():
        mlp.drop(~mlp.kept_E, rule)
    if rule == "mean":
        fill_mean_answers(network, config, judged)


def _write_tables(
    photos: Manifest,
    judged: Manifest,
    answers: Answers,
    config: CheckpointConfig,
    folder: Path,
    added: OccurrenceFile | None,
) -> None:
    """Write the tables of every world."""
    taxa(photos, config.classes).write(folder)
    occurrence(photos).write(folder)
    if added is not None:
        add_occurrences(folder, added)
    profile_counts(judged, answers).write(folder)
    evidence(judged, answers).write(folder)
    activation_ranges(folder, config, judged).write(folder)


def _write_expert_tables(
    network: SpeciesNetwork, config: CheckpointConfig, judged: Manifest, folder: Path, exact: int
) -> None:
    """Write what the experts did for the judged photos, and what dropping each one does."""
    routing, edges = expert_sums(network, config, judged)
    routing.write(folder)
    edges.write(folder)
    (folder / Drops.file).unlink(missing_ok=True)
    if exact:
        exact_drops(network, config, judged, photos_per_class=exact).write(folder)


def _describe(
    name: str,
    network: SpeciesNetwork,
    config: CheckpointConfig,
    photos: Manifest,
    terms: Licence,
    graph: Graph,
    folder: Path,
    added: OccurrenceFile | None,
) -> Description:
    """Gather the facts of a world, short of its metrics."""
    model = onnx.load(str(folder / GRAPH), load_external_data=False)
    assert network.head is not None
    labelled = photos.labelled()
    sources = Counter(source or "" for source in labelled.strings("source"))
    if added is not None:
        sources[f"{OCCURRENCES}{added.source}"] = added.records
    return Description(
        name=name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        homerange=__version__,
        architecture=Architecture(
            backbone=config.backbone,
            head=config.head,
            expert_layers=tuple(layer.layer for layer in graph.experts),
            feature_size=network.head.classes.in_features,
            classes=len(config.classes),
        ),
        preprocessing=config.preprocessing,
        graph=graph,
        parameters=count_parameters(model),
        macs=count_macs(model),
        provenance=Provenance(
            recipe=str(config.recipe.get("name", "")),
            start=str(config.provenance.get("start", "")),
            seed=int(str(config.recipe.get("seed", 0))),
            photos={split: len(labelled.split(split)) for split in SPLITS},
            sources=dict(sources),
        ),
        licence=terms,
        metrics={},
    )
