"""Names of classes: the scientific name is the key, and a few words mean an outcome.

The words for photos without an animal come from the tables of camera-trap projects. ``unknown``
and its like are no class: such a photo is unlabelled. Names below species (``Tragulus sp.``) and
three-part names are kept as written.
"""

import re

__all__ = ["OUTCOMES", "class_key", "looks_scientific", "outcome"]

OUTCOMES = ("blank", "person", "vehicle")
"""Answers that are no species."""

_OUTCOME_WORDS = {
    "blank": "blank empty nothing none misfire|nothing here|no animal|no animals|false trigger",
    "person": "person persons people human humans|homo sapiens|homo sapiens sapiens",
    "vehicle": "vehicle vehicles car cars truck trucks motorcycle motorbike|vehicle car",
}
_NO_LABEL = set(
    "unknown unidentified unclassified unlabelled unlabeled animal ? undetermined".split()
)
_NO_LABEL |= {"unknown animal", "unidentifiable", "not identified"}
_OUTCOME_OF = {
    word: name
    for name, words in _OUTCOME_WORDS.items()
    for first, *rest in [words.split("|")]
    for word in [*first.split(), *rest]
}
# "Panthera leo (Linnaeus, 1758)": who described it and when is no part of the key.
_AUTHORITY = re.compile(r"\s+\(?[A-Z][^0-9(]*,\s*\d{4}\)?$")
_SCIENTIFIC = re.compile(r"[A-Z][a-z]{2,}( ([a-z][a-z-]{2,}|sp\.|spp\.)){1,2}")


def outcome(name: str) -> str | None:
    """Return ``blank``, ``person`` or ``vehicle`` for a word that means one, else None.

    Example:
        >>> outcome("Nothing-here"), outcome("Homo sapiens"), outcome("Panthera leo")
        ('blank', 'person', None)
    """
    return _OUTCOME_OF.get(_plain(name))


def class_key(name: str) -> str | None:
    """Return the class of a name as tables write it; None where it names nothing.

    Example:
        >>> class_key(" panthera  LEO "), class_key("Panthera_leo (Linnaeus, 1758)")
        ('Panthera leo', 'Panthera leo')
        >>> class_key("empty"), class_key("Tragulus sp."), class_key("unknown")
        ('blank', 'Tragulus sp.', None)
    """
    if _plain(name) in _NO_LABEL:
        return None
    words = _AUTHORITY.sub("", " ".join(name.replace("_", " ").split()))
    return outcome(name) or words.capitalize() or None


def looks_scientific(name: str) -> bool:
    """Whether a name has the form ``Genus species`` (the second word in small letters).

    Example:
        >>> looks_scientific("Panthera leo"), looks_scientific("red deer")
        (True, False)
    """
    return _SCIENTIFIC.fullmatch(" ".join(name.replace("_", " ").split())) is not None


def _plain(name: str) -> str:
    return " ".join(re.sub(r"[-_/]", " ", name).casefold().split())
