"""Under what terms a world may be used: computed from its photos, the strictest wins.

Not legal advice: an order of common licences by what they ask of those who use the work. A licence
that is not in the order counts as stricter than all that are.
"""

import re
from collections import Counter
from collections.abc import Sequence

from homerange.errors import WorldError
from homerange.world.description import Licence

__all__ = ["licence_of"]

# From the strictest to the freest; the first pattern that matches decides.
ORDER = (
    ("CC BY-NC-ND", r"by.?nc.?nd"),
    ("CC BY-ND", r"by.?nd"),
    ("CC BY-NC-SA", r"by.?nc.?sa"),
    ("CC BY-NC", r"by.?nc|non.?commercial"),
    ("GPL", r"\bA?GPL"),
    ("CC BY-SA", r"by.?sa|odbl"),
    ("CC BY", r"cc.?by|odc.?by|licenses/by/"),
    ("CDLA-Permissive", r"cdla"),
    ("Apache-2.0", r"apache"),
    ("MIT", r"\bMIT\b|bsd"),
    ("CC0", r"cc.?0|public.?domain|pddl"),
)


def licence_of(rows: Sequence[str | None], *, otherwise: str | None = None) -> Licence:
    """Compute the licence of a world from those of its photos.

    Args:
        rows: Licence of each photo, in the words of its source.
        otherwise: What the publisher states for photos without one.

    Raises:
        WorldError: If photos state no licence and the publisher states none either.

    Example:
        >>> licence_of(["MIT", "CC BY-NC 4.0", "CC0"]).weights
        'CC BY-NC'
    """
    stated = [row or otherwise for row in rows]
    missing = sum(not row for row in stated)
    if missing:
        raise WorldError(
            f"{missing:,} of {len(rows):,} photos state no licence, so the world's cannot be "
            "computed. Add a licence column to the table and import again, or state one with "
            "--licence"
        )
    counts = Counter(str(row) for row in stated)
    strictest = min(counts, key=_rank)
    weights = strictest if _rank(strictest) < 0 else ORDER[_rank(strictest)][0]
    return Licence(weights=weights, rows=dict(counts))


def _rank(licence: str) -> int:
    """Return the place in ORDER, or -1, before all others, for a licence that is not there."""
    for rank, (_, pattern) in enumerate(ORDER):
        if re.search(pattern, licence, re.IGNORECASE):
            return rank
    return -1
