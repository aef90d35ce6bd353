"""The user's own list of species, in place of records."""

from dataclasses import dataclass
from pathlib import Path

from homerange.errors import PlaceError

__all__ = ["SpeciesList", "read_species_list"]


@dataclass(frozen=True)
class SpeciesList:
    """The species that the user expects, wherever that is.

    Raises:
        PlaceError: If the list is empty or names a species twice.
    """

    species: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse an empty list and a species that stands there twice."""
        if not self.species:
            raise PlaceError("a list of species is empty; expected at least one scientific name.")
        seen: set[str] = set()
        for name in self.species:
            if name.casefold() in seen:
                raise PlaceError(f"a list of species names {name} twice; expected it once.")
            seen.add(name.casefold())

    def describe(self) -> str:
        """Say for people what this is."""
        return f"a list of {len(self.species)} species"

    def to_json(self) -> dict[str, object]:
        """Give the plain values for ``place.json``."""
        return {"kind": "list", "species": list(self.species)}


def read_species_list(path: Path) -> SpeciesList:
    """Read a text file with one scientific name a line; ``#`` starts a comment.

    Raises:
        PlaceError: If the file cannot be read as UTF-8 text, holds no name, or holds one twice
            (capitals do not count); the message gives both lines.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PlaceError(
            f"cannot read the species list {path}: {error}. Expected a UTF-8 text file with one "
            "scientific name a line."
        ) from error
    line_of: dict[str, int] = {}
    species: list[str] = []
    for number, line in enumerate(lines, start=1):
        name = " ".join(line.partition("#")[0].split())
        if not name:
            continue
        first = line_of.setdefault(name.casefold(), number)
        if first != number:
            raise PlaceError(
                f"{path}, line {number}: {name} stands on line {first} already; remove one."
            )
        species.append(name)
    if not species:
        raise PlaceError(
            f"the species list {path} holds no name; expected one scientific name a line."
        )
    return SpeciesList(tuple(species))
