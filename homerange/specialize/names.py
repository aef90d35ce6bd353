"""Species that the user names, turned into classes of a world."""

import difflib
from collections.abc import Iterable, Sequence

from homerange.errors import SpeciesError
from homerange.world.world import World

__all__ = ["classes_of", "classes_to_add_and_drop", "some"]

_NAMES_IN_A_MESSAGE = 10


def classes_of(world: World, names: Iterable[str], source: str) -> list[int]:
    """Turn scientific names into classes; capitals and spaces around them do not count.

    Args:
        world: The world.
        names: Scientific names or outcomes.
        source: Where they stand, for the message, for example ``"--include"``.

    Returns:
        Class indices, rising, each once.

    Raises:
        SpeciesError: If a name is none of the world's; the message offers near ones, by
            scientific and by common name.
    """
    class_of = {label.casefold(): c for c, label in enumerate(world.labels)}
    names = list(names)
    unknown = [name for name in names if name.strip().casefold() not in class_of]
    if unknown:
        told = "; ".join(f"{name!r}{_near(world, name)}" for name in unknown[:_NAMES_IN_A_MESSAGE])
        more = len(unknown) - _NAMES_IN_A_MESSAGE
        raise SpeciesError(
            f"{source}: {len(unknown)} of {len(names)} names are no species of the world "
            f"{world.description.name!r}: {told}{f' and {more} more' if more > 0 else ''}. "
            f"Expected scientific names among its {len(world.labels)} classes; correct these or "
            "leave them out"
        )
    return sorted({class_of[name.strip().casefold()] for name in names})


def classes_to_add_and_drop(
    world: World, include: Iterable[str], exclude: Iterable[str]
) -> tuple[list[int], list[int]]:
    """Turn ``--include`` and ``--exclude`` into classes.

    Raises:
        SpeciesError: If a name is none of the world's, stands in both, or is an outcome that is
            to be excluded.
    """
    added = classes_of(world, include, "--include")
    dropped = classes_of(world, exclude, "--exclude")
    both = [world.labels[c] for c in added if c in dropped]
    if both:
        raise SpeciesError(f"{', '.join(both)}: both included and excluded; choose one")
    outcomes = [world.labels[c] for c in dropped if world.labels[c] in world.outcomes]
    if outcomes:
        raise SpeciesError(
            f"{', '.join(outcomes)} cannot be excluded: outcomes are no species and always stay"
        )
    return added, dropped


def some(names: Sequence[str], at_most: int = 20) -> str:
    """List names, and count those that would make the list too long to read.

    Example:
        >>> some(["Bos taurus", "Felis catus", "Mus musculus"], at_most=2)
        'Bos taurus, Felis catus and 1 more'
    """
    more = len(names) - at_most
    return ", ".join(names[:at_most]) + (f" and {more:,} more" if more > 0 else "")


def _near(world: World, name: str) -> str:
    meant = {
        common.casefold(): label
        for common, label in zip(world.taxa.common_name.tolist(), world.labels, strict=True)
        if common
    }
    meant |= {label.casefold(): label for label in world.labels}
    near = difflib.get_close_matches(name.strip().casefold(), meant, n=3)
    offered = dict.fromkeys(meant[key] for key in near)
    return f" (did you mean {' or '.join(offered)}?)" if offered else ""
