"""What a place's model is worth: accuracy, bytes, parameters and MACs, beside its controls.

A number alone says little, so each stands in three rows: the dense world as it is, the dense world
masked to the list of the place, and the package. The second is the control: what the package saves
against it costs nothing but bytes and time.

Judged are the test photos of the species on the list, wherever they were taken, and test photos
taken at the place whose species is off the list: the place's model cannot name those, so they are
errors. Photos of outcomes (``blank`` ...) are judged only among those taken at the place: the
blanks of a whole world would hide how the species fare.
"""

from dataclasses import asdict, dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from homerange.data.metrics import macro_f1, wilson_interval
from homerange.geo.place import areas_of
from homerange.specialize.count import count_macs, count_parameters
from homerange.specialize.evidence import Judged, answer, judged_photos
from homerange.specialize.graph import load_graph
from homerange.specialize.species import SpeciesTable
from homerange.world.world import World

__all__ = ["Figures", "Row", "Score", "Size", "SpeciesScore", "measure", "score", "size_of"]

MEASURED_FROM = 30
"""With fewer photos a share is not called measured."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """How right the answers for some photos are."""

    photos: int
    correct: int
    top1: float | None
    """Share of right answers; none without photos."""
    top1_low: float
    top1_high: float
    """Ends of Wilson's 95 % interval."""
    macro_f1: float | None
    """Mean over the classes of the photos; none without photos."""
    measured: bool
    """Whether there are enough photos to give a number."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """What a model weighs, and what one photo costs."""

    bytes: int
    """On disk, of the model alone."""
    parameters: int
    macs: int
    """By the rule of :mod:`homerange.specialize.count`."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model in the card's table."""

    name: str
    size: Size
    on_species: Score
    """On the judged photos of species."""
    at_place: Score | None
    """On all test photos taken at the place; none where it is a list of species."""


@dataclass(frozen=True, kw_only=True)
class SpeciesScore:
    """How the package answers the test photos of one species."""

    species: str
    photos: int
    correct: int


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was measured for a place."""

    rows: tuple[Row, Row, Row]
    """The world, called dense where it has no experts; it masked to the list; the package."""
    photos_on_list: int
    """Judged photos of species on the list, wherever taken."""
    photos_off_list: int
    """Judged photos taken at the place, of a species that is not on the list."""
    species: tuple[SpeciesScore, ...]
    """By species of the list, in its order."""

    def to_json(self) -> dict[str, object]:
        """Return plain values for ``place.json``."""
        return asdict(self)


def measure(world: World, table: SpeciesTable, model: bytes) -> Figures:
    """Judge the model of a place beside the world that it was cut from.

    Args:
        world: The world.
        table: The species of the place.
        model: The cut model, as :func:`homerange.specialize.cut.cut_world` returns it.

    Raises:
        WorldError: If the evidence does not fit the class rows.
    """
    cut = onnx.load_from_string(model)
    full = load_graph(world)
    judged = judged_photos(world, table)
    answers = answer(world, table, judged.feature_ND, full=full, cut=cut)
    world_bytes = world.graph_path.stat().st_size + world.weights_path.stat().st_size
    world_size, package_size = size_of(full, world_bytes), size_of(cut, len(model))
    kind = "world with experts" if world.graph.experts else "dense world"
    located = bool(areas_of(table.place))
    species_N = ~np.isin(judged.class_N, [world.labels.index(name) for name in world.outcomes])
    on_list_N = np.isin(judged.class_N, [row.class_index for row in table.species])

    def row(name: str, size: Size, answer_N: NDArray[np.int64]) -> Row:
        """Score one model for the card."""
        here = _score_of(judged, answer_N, judged.at_place_N) if located else None
        on_species = _score_of(judged, answer_N, species_N)
        return Row(name=name, size=size, on_species=on_species, at_place=here)

    return Figures(
        rows=(
            row(kind, world_size, answers.dense_N),
            row(f"{kind}, masked to the list", world_size, answers.masked_N),
            row("this package", package_size, answers.package_N),
        ),
        photos_on_list=int(on_list_N.sum()),
        photos_off_list=int((species_N & ~on_list_N).sum()),
        species=_by_species(table, judged.class_N, answers.package_N),
    )


def score(class_N: NDArray[np.integer], answer_N: NDArray[np.integer]) -> Score:
    """Compare answers with the truth.

    Args:
        class_N: True classes, shape (N,) for N photos.
        answer_N: Answered classes, shape (N,).

    Example:
        >>> score(np.array([0, 0, 1]), np.array([0, 1, 1])).correct
        2
    """
    photos, correct = len(class_N), int((class_N == answer_N).sum())
    low, high = wilson_interval(correct, photos)
    return Score(
        photos=photos,
        correct=correct,
        top1=correct / photos if photos else None,
        top1_low=low,
        top1_high=high,
        macro_f1=macro_f1(class_N, answer_N) if photos else None,
        measured=photos >= MEASURED_FROM,
    )


def size_of(model: onnx.ModelProto, size_bytes: int) -> Size:
    """Count what a model weighs, given its bytes on disk, and what a photo costs."""
    return Size(bytes=size_bytes, parameters=count_parameters(model), macs=count_macs(model))


def _score_of(judged: Judged, answer_N: NDArray[np.int64], counted_N: NDArray[np.bool_]) -> Score:
    return score(judged.class_N[counted_N], answer_N[counted_N])


def _by_species(
    table: SpeciesTable, class_N: NDArray[np.int32], answer_N: NDArray[np.int64]
) -> tuple[SpeciesScore, ...]:
    classes = int(max(class_N.max(initial=0), table.class_index_K.max())) + 1
    photos_C = np.bincount(class_N, minlength=classes)
    correct_C = np.bincount(class_N[class_N == answer_N], minlength=classes)
    return tuple(
        SpeciesScore(
            species=row.species,
            photos=int(photos_C[row.class_index]),
            correct=int(correct_C[row.class_index]),
        )
        for row in table.species
    )
