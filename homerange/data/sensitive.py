"""Species whose whereabouts are not told to anybody unasked.

A short bundled list of animals that are hunted for trade or nearly gone, of the kind that camera
traps see; users extend it. It is a beginning and no copy of CITES or of the Red List. A line
with one word is a genus and stands for all its species.
"""

from collections.abc import Iterable
from pathlib import Path

from homerange.data.names import class_key
from homerange.errors import SpeciesError

__all__ = ["is_sensitive", "sensitive_names"]

_BUNDLED = Path(__file__).with_name("sensitive_species.txt")


def sensitive_names(own: Path | None = None) -> frozenset[str]:
    """Return the bundled names and those of a user's list.

    Args:
        own: A text file with one scientific name, of a species or a genus, a line; ``#`` begins a
            comment.

    Raises:
        SpeciesError: If the file cannot be read.
    """
    try:
        lines = own.read_text(encoding="utf-8-sig").splitlines() if own else []
    except (OSError, UnicodeDecodeError) as error:
        raise SpeciesError(
            f"{own}: the list of sensitive species cannot be read ({error}). Expected UTF-8 text, "
            "one scientific name a line"
        ) from error
    return frozenset(_names([*_BUNDLED.read_text(encoding="utf-8").splitlines(), *lines]))


def is_sensitive(name: str, names: frozenset[str]) -> bool:
    """Whether a taxon is on the list, or may hold a species that is.

    Example:
        >>> names = sensitive_names()
        >>> is_sensitive("Diceros bicornis", names), is_sensitive("Vulpes vulpes", names)
        (True, False)
        >>> is_sensitive("Manis javanica", names), is_sensitive("Panthera", names)
        (True, True)
    """
    key = class_key(name) or name
    genus = key.split(" ")[0]
    holds = " " not in key and any(one.startswith(f"{key} ") for one in names)
    species = " ".join(key.split(" ")[:2])  # a subspecies is as sensitive as its species
    return key in names or species in names or genus in names or holds


def _names(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        if key := class_key(line.partition("#")[0]):
            yield key
