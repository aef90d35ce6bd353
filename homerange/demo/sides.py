"""Two countries side by side: who lives there, which experts stay, and what each lever saves."""

from dataclasses import dataclass
from pathlib import Path

from homerange.errors import ConfigError
from homerange.geo.countries import Country
from homerange.specialize.specialize import Specialized, specialize
from homerange.world.world import World

__all__ = ["Lever", "Side", "make_side"]

EXPERTS_KEPT = 4
"""A side keeps one of so many experts, the most important of its species by first-order score."""


@dataclass(frozen=True, kw_only=True)
class Lever:
    """What one way to make the world smaller saves at a place."""

    name: str
    bytes: int
    macs: int


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two countries."""

    country: Country
    made: Specialized
    """Its package, with all experts of the world but the least important ones dropped."""

    @property
    def species(self) -> set[str]:
        """Scientific names on its list."""
        return {one.species for one in self.made.table.species}

    @property
    def kept(self) -> dict[int, set[int]]:
        """Experts that stay, by the number of their layer; empty in a world without experts."""
        experts = self.made.experts
        return {int(n): set(kept) for n, kept in experts.kept.items()} if experts else {}

    @property
    def levers(self) -> tuple[Lever, ...]:
        """The world, then each lever alone, then both together."""
        whole, _, package = self.made.figures.rows
        found = [Lever(name="the whole world", bytes=whole.size.bytes, macs=whole.size.macs)]
        size = package.size
        found.append(Lever(name="class head cut", bytes=size.bytes, macs=size.macs))
        if experts := self.made.experts:
            for name, one in (
                ("experts dropped", experts.experts_only),
                ("both", experts.head_and_experts),
            ):
                found.append(Lever(name=name, bytes=one.bytes, macs=one.macs))
        return tuple(found)


def make_side(world: World, country: Country, folder: Path) -> Side:
    """Make the package of one side.

    Args:
        world: An open world.
        country: Which.
        folder: Where the package goes; it exists.

    Raises:
        PlaceError: If the world has no record there.
        ConfigError: If the country is too small a place for so few experts.
    """
    total = sum(layer.experts for layer in world.graph.experts)
    experts = f"first-order:{total - total // EXPERTS_KEPT}" if total else None
    try:
        made = specialize(world, country, folder / f"{country.code}.homerange", experts=experts)
    except ConfigError as error:
        raise ConfigError(f"{country.describe()}: {error}") from error
    return Side(country=country, made=made)
