"""Under what terms a world may be used: computed from its photos, the strictest wins.

Not legal advice: an order of common licences by what they ask of those who use the work. A licence
that is not in the order counts as stricter than all that are.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from homerange.data.manifest import Manifest
from homerange.errors import WorldError
from homerange.world.description import OCCURRENCES, Licence

__all__ = ["licence_of", "licence_rows"]

LEARNT_FROM = ("train", "val")
"""Splits that training looks at; val chooses the moment to stop."""

# From the strictest to the freest; the first pattern that matches a licence decides. Patterns see
# what ``_plain`` makes of the words of a source.
ORDER = (
    ("all rights reserved", r"\ball rights\b"),
    ("CC BY-NC-ND", r"\bnc\b.*\bnd\b|\bnd\b.*\bnc\b"),
    ("CC BY-ND", r"\bnd\b"),
    ("CC BY-NC-SA", r"\bnc\b.*\bsa\b|\bsa\b.*\bnc\b"),
    ("CC BY-NC", r"\bnc\b"),
    ("AGPL", r"\bagpl|\baffero\b"),
    ("GPL", r"\bgpl|(?<!lesser )\bgeneral public\b"),
    ("ODbL", r"\bodbl\b|\bopen database\b"),
    ("CC BY-SA", r"\bsa\b"),
    ("CDLA-Sharing", r"\bcdla (?:dev )?sharing\b"),
    ("ODC-By", r"\b(?:odc|open data commons) by\b"),
    ("CC BY", r"\b(?:cc|commons|licenses) by\b|^by(?: \d|$)"),
    ("CDLA-Permissive", r"\bcdla (?:dev )?permissive\b"),
    ("Apache-2.0", r"\bapache\b"),
    ("BSD", r"\bbsd\b"),
    ("MIT", r"\bmit\b"),
    ("CC0", r"\bcc 0\b|\b(?:cc|commons|publicdomain) zero\b"),
    ("PDDL", r"\bpddl\b|\bopen data commons public domain\b"),
    ("public domain", r"\bpublic ?domain\b"),
)

# Spelt-out words and the short ones that patterns know, in the order of replacing.
_SHORT = (
    (r"[^a-z0-9]+", " "),
    (r"(?<=[a-z])(?=\d)", " "),
    (r"\bno[nt]? ?(?:for )?(?:any )?commercial\w*", "nc"),
    (r"\bno ?deriv\w*", "nd"),
    (r"\bshare ?alike\b", "sa"),
    (r"\battribution\b", "by"),
    (r"\bcommunity data licen[cs]e agreement\b", "cdla"),
    (r"\b(?:cc|by|nc|nd|sa){2,}\b", lambda run: " ".join(re.findall("..", run[0]))),
)


def licence_rows(photos: Manifest, *, teacher: bool) -> list[str | None]:
    """List the licences of the photos that a world comes from.

    Args:
        photos: The photos of the training.
        teacher: Whether a teacher was learnt from. Then photos of train and val without a label
            were learnt from too.

    Returns:
        Licence of each labelled photo, and with a teacher of each photo that was learnt from.
    """
    columns = (photos.strings(name) for name in ("species", "split", "licence"))
    return [
        licence
        for species, split, licence in zip(*columns, strict=True)
        if species is not None or (teacher and split in LEARNT_FROM)
    ]


def licence_of(
    rows: Sequence[str | None],
    *,
    records: Mapping[str, int] | None = None,
    otherwise: str | None = None,
) -> Licence:
    """Compute the licence of a world from those of its photos and of the records it takes in.

    Each licence is known by its short name, its address or its name spelt out.

    Args:
        rows: Licence of each photo, in the words of its source.
        records: Numbers of records of species, added or learnt from by a range model, by their
            licence; an empty text for none.
        otherwise: What the publisher states for photos and records without one.

    Returns:
        The strictest licence by its short name, or in the words of its source where nobody knows
        it; and the photos by licence, in the words of their source, then the records.

    Raises:
        WorldError: If some state no licence and the publisher states none either.

    Example:
        >>> licence_of(["MIT", "CC BY-NC 4.0", "CC0"]).weights
        'CC BY-NC'
        >>> licence_of(["Creative Commons Attribution-ShareAlike 3.0"]).weights
        'CC BY-SA'
    """
    photos = Counter(row or otherwise or "" for row in rows)
    added: Counter[str] = Counter()
    for words, number in (records or {}).items():
        added[words or otherwise or ""] += number
    if missing := photos[""] + added[""]:
        what = "photos and records" if added else "photos"
        raise WorldError(
            f"{missing:,} of {photos.total() + added.total():,} {what} state no licence, so the "
            "world's cannot be computed. Add a licence column to the table and import again, or "
            "state one with --licence"
        )
    strictest = min([*photos, *added], key=_rank)
    weights = strictest if _rank(strictest) < 0 else ORDER[_rank(strictest)][0]
    of_records = {f"{OCCURRENCES}{words}": number for words, number in added.items()}
    return Licence(weights=weights, rows=dict(photos) | of_records)


def _rank(licence: str) -> int:
    """Return the place in ORDER, or -1, before all others, for a licence that is not there."""
    plain = _plain(licence)
    matches = (rank for rank, (_, pattern) in enumerate(ORDER) if re.search(pattern, plain))
    return next(matches, -1)


def _plain(licence: str) -> str:
    """Write a licence in small letters, single spaces and short words: ``cc by nc 4 0``."""
    plain = licence.casefold()
    for pattern, short in _SHORT:
        plain = re.sub(pattern, short, plain)
    return plain.strip()
