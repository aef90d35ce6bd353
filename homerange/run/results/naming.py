"""What an answer says, in the words that formats of results share.

An answer names a label of the package. A label of two words or more is a species; one of a single
word is a higher taxon, of which most formats know a column; and `blank`, `person` and
`vehicle` are no taxa. Writers ask here and never look at labels themselves.
"""

from dataclasses import dataclass

from homerange.data.names import OUTCOMES
from homerange.run.answers import Answer
from homerange.world.place_package import PlacePackage

__all__ = ["Naming", "best_name", "name_of", "named", "seven_parts"]


@dataclass(frozen=True, slots=True)
class Naming:
    """One label, taken apart."""

    label: str
    """Scientific name, or an outcome."""
    outcome: str
    """``animal``, ``blank``, ``person`` or ``vehicle``."""
    common_name: str
    """Empty where none is known."""
    genus: str
    """Empty for an outcome."""
    epithet: str
    """The species' second name; empty for an outcome and for a higher taxon."""

    @property
    def is_animal(self) -> bool:
        """Whether it is a taxon."""
        return self.outcome == "animal"


def name_of(index: int, package: PlacePackage) -> Naming:
    """Take apart the label with a number.

    Args:
        index: As in `Answer.top`.
        package: The package that gave the answer.
    """
    return named(package.labels[index], package)


def named(label: str, package: PlacePackage) -> Naming:
    """Take apart a label of the package, or an outcome that a detector named."""
    if label in OUTCOMES or label in package.outcomes:
        return Naming(label, label, "", "", "")
    genus, _, epithet = label.partition(" ")
    return Naming(label, "animal", package.common_names.get(label, ""), genus, epithet)


def best_name(answer: Answer, package: PlacePackage) -> Naming | None:
    """Take apart the best answer; None where the photo could not be read."""
    if answer.failure is not None:
        return None
    return named(answer.best(package.labels)[0], package)


def seven_parts(name: Naming) -> str:
    """``id;class;order;family;genus;species;common name``; what the package has not is empty.

    Example:
        >>> seven_parts(Naming("Vulpes vulpes", "animal", "red fox", "Vulpes", "vulpes"))
        ';;;;vulpes;vulpes;red fox'
        >>> seven_parts(Naming("blank", "blank", "", "", ""))
        ';;;;;;blank'
    """
    if not name.is_animal:
        return f";;;;;;{name.label}"
    return f";;;;{name.genus.lower()};{name.epithet.lower()};{name.common_name}"
