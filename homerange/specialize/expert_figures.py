"""What dropping experts saves at a place, apart from cutting the head, and what it may cost.

Sizes are counted on graphs that were cut. The cost is an estimate: with several experts gone, no
sum over photos says what the network answers. It is the first-order rise of the loss on validation
photos of the place's species, per photo; run the package on photos of your own to measure it.
"""

from dataclasses import asdict, dataclass

import numpy as np
import onnx

from homerange.specialize.choose import Kept, Use
from homerange.specialize.cut import cut_world
from homerange.specialize.figures import Size, size_of
from homerange.specialize.species import SpeciesTable
from homerange.world.description import DropRule
from homerange.world.tables import Profile
from homerange.world.world import World

__all__ = ["ExpertFigures", "expert_figures"]


@dataclass(frozen=True, kw_only=True)
class ExpertFigures:
    """Experts of a package, and the levers apart."""

    choice: str
    """As the user typed it, for example ``first-order:40``."""
    drop_rule: DropRule
    """What becomes of the tokens of dropped experts: the world's rule."""
    kept: dict[str, list[int]]
    """By the number of the layer: experts of the world, rows of its gate."""
    dropped: int
    """Of all layers together."""
    experts_only: Size
    """The world with all classes and these experts."""
    head_and_experts: Size
    """The package."""
    estimated_loss_rise: float | None
    """Of the cross-entropy of a validation photo of the place's species, in nats, to first order;
    none without such photos."""

    def to_json(self) -> dict[str, object]:
        """Return plain values for ``place.json``."""
        return asdict(self)


def expert_figures(
    world: World, table: SpeciesTable, choice: str, kept: Kept, use: Use, model: bytes
) -> ExpertFigures:
    """Count what a choice of experts saves, and estimate what it costs.

    Args:
        world: The world.
        table: The species of the place.
        choice: As the user typed it.
        kept: The experts that stay.
        use: What the experts do for the classes of ``table``.
        model: The package's model, cut to the classes of ``table`` and to ``kept``.
    """
    rise = sum(
        float(np.delete(use.loss_rise[layer], experts).sum()) for layer, experts in kept.items()
    )
    profile = Profile.read(world.path, "split = 'val'")
    photos = int(profile.photos[np.isin(profile.class_index, table.class_index_K)].sum())
    total = sum(map(len, use.tokens.values()))
    every_class = np.arange(len(world.labels))
    return ExpertFigures(
        choice=choice,
        drop_rule=world.graph.drop_rule,
        kept={str(layer): experts.tolist() for layer, experts in kept.items()},
        dropped=total - sum(map(len, kept.values())),
        experts_only=_size(cut_world(world, every_class, kept)),
        head_and_experts=_size(model),
        estimated_loss_rise=rise / photos if photos else None,
    )


def _size(model: bytes) -> Size:
    return size_of(onnx.load_from_string(model), len(model))
