"""The verb ``adapt``: the user's corrections refit the class rows of a package.

The photos are run up to the class rows; the rest is numpy. The newest third of the photos judges
what the older ones taught, and where that is worse no package is written. Else all photos teach
the rows that are written, the newest too: in bench/adapt.py that was never worse, and better where
the photos had changed. Only class rows change, so the bytes, the time and the memory of the model
stay what they were.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from homerange import __version__
from homerange.data.names import OUTCOMES, class_key
from homerange.errors import AdaptError, PackageError
from homerange.output import obstacle, writing
from homerange.specialize.adapt.card import adapted_card
from homerange.specialize.adapt.corrections import LeftOut, in_time, read_corrections
from homerange.specialize.adapt.model import features_of, open_model, with_rows
from homerange.specialize.adapt.refit import Rows, Taught, newest_third, refit, teach
from homerange.specialize.figures import Score, score
from homerange.specialize.sparrow import sparrow_manifest
from homerange.world.place_package import (
    MEMBERS,
    PACKAGE_VERSION,
    PlacePackage,
    read_package,
    write_package,
)
from homerange.world.sealed_zip import unpack

__all__ = ["Adapted", "adapt"]

JUDGED_FROM = 30
"""With fewer photos nothing can be said of a package, so none is written."""

NEW_FROM = 5
"""Photos that must teach a new class."""


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """A package that learnt its user's corrections."""

    path: Path
    sha256: str
    name: str
    labels: tuple[str, ...]
    added: tuple[str, ...]
    """Labels that the package did not have."""
    photos: int
    """Corrections that could be used; all of them taught the rows that were written."""
    judged: int
    """The newest of them, which judged what the older ones taught."""
    before: Score
    """The package as it was, on the newest photos."""
    after: Score
    """With class rows that only the older photos taught."""
    spread: float
    """See :mod:`homerange.specialize.adapt.refit`."""
    order: str
    """What said which photos are newest."""
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]

    def to_json(self, parent: PlacePackage) -> dict[str, object]:
        """Return plain values for ``place.json``."""
        return {
            "parent": {"name": parent.name, "sha256": parent.sha256},
            "added": list(self.added),
            "photos": self.photos,
            "judged": self.judged,
            "order": self.order,
            "spread": self.spread,
            "before": asdict(self.before),
            "after": asdict(self.after),
            "left_out": len(self.left_out),
        }


def adapt(
    package: Path,
    corrections: Path,
    photos: Path,
    output: Path,
    *,
    add: Sequence[str] = (),
) -> Adapted:
    """Teach a package its user's corrections.

    Args:
        package: The package, which stays as it is.
        corrections: A CSV with the columns file and species; see
            :mod:`homerange.specialize.adapt.corrections`. Photos that were answered rightly belong
            into it too: from mistakes alone a model unlearns the rest.
        photos: The folder that the files start from.
        output: The package to write.
        add: Scientific names that the package does not have and that some corrections name.

    Raises:
        AdaptError: If too few corrections can be used, or the package would be worse on the newest
            third of them.
        PackageError: If the package cannot be read or its class rows not be found, or ``output``
            cannot be written.
    """
    old = read_package(package)
    _check_output(output, package)
    added = _new_labels(old, add)
    labels = (*old.labels, *added)
    model, last = open_model(old)
    named, unnamed = read_corrections(corrections, photos, labels)
    ordered, time_N = in_time(named)
    feature_ND, read, unreadable = features_of(old, model, last, ordered)
    left_out = (*unnamed, *unreadable)
    class_N = np.array([ordered[i].label for i in read], np.int64)
    newest_N = newest_third(len(read), None if time_N is None else time_N[read])
    _check_enough(corrections, labels, class_N, newest_N, added, left_out)
    rows = Rows(last.weight_CD, last.bias_C)
    taught = teach(rows, feature_ND, class_N, newest_N, new=len(added))
    adapted = Adapted(
        path=output,
        sha256="",
        name=output.name.removesuffix(".homerange"),
        labels=labels,
        added=added,
        photos=len(class_N),
        judged=int(newest_N.sum()),
        before=score(class_N[newest_N], taught.answer_before_M),
        after=score(class_N[newest_N], taught.answer_after_M),
        spread=taught.spread,
        order="file order" if time_N is None else "time",
        left_out=left_out,
        notes=_notes(old, left_out, time_N, taught),
    )
    _refuse_if_worse(adapted, corrections)
    everything = refit(rows.with_new(len(added)), feature_ND, class_N, spread=taught.spread)
    members = _members(old, adapted, with_rows(old, model, last, everything))
    with writing(output, PackageError):
        sha256 = write_package(output, place=_place(old, adapted), members=members)
    return replace(adapted, sha256=sha256)


def _check_output(output: Path, package: Path) -> None:
    if not output.parent.is_dir():
        raise PackageError(f"{output}: there is no folder {output.parent}; make it first")
    if found := obstacle(output, inputs=[package]):
        raise PackageError(f"{output}: {found}")
    if output.exists():
        read_package(output)  # what is no package is not replaced


def _new_labels(old: PlacePackage, add: Sequence[str]) -> tuple[str, ...]:
    added = tuple(dict.fromkeys(class_key(name) or name for name in add))
    known = [name for name in added if name in old.labels]
    if known:
        raise AdaptError(
            f"--add {known[0]!r}: the package has this label already. Leave it out; corrections "
            "of it count anyway"
        )
    return added


def _check_enough(
    corrections: Path,
    labels: Sequence[str],
    class_N: NDArray[np.int64],
    newest_N: NDArray[np.bool_],
    added: Sequence[str],
    left_out: Sequence[LeftOut],
) -> None:
    if newest_N.sum() < JUDGED_FROM:
        why = f"; {len(left_out)} were left out, {_reasons(left_out)}" if left_out else ""
        raise AdaptError(
            f"{corrections}: {len(class_N)} corrections can be used{why}. Their newest third, "
            f"{int(newest_N.sum())} photos, judges the result, and needs {JUDGED_FROM}: correct "
            f"about {3 * JUDGED_FROM} photos, the right answers too"
        )
    for name in added:
        photos = int((class_N[~newest_N] == labels.index(name)).sum())
        if photos < NEW_FROM:
            raise AdaptError(
                f"--add {name!r}: {photos} of the older corrections show it; expected "
                f"{NEW_FROM} or more"
            )


def _refuse_if_worse(adapted: Adapted, corrections: Path) -> None:
    before, after = adapted.before, adapted.after
    older = adapted.photos - adapted.judged
    if after.correct < before.correct:
        raise AdaptError(
            f"{corrections}: the package would be worse and is not written: of the newest "
            f"{adapted.judged} photos ({adapted.order}) it answers {before.correct} rightly now "
            f"and {after.correct} after {older} corrections. Correct more photos, of all species, "
            "the right answers too"
        )


def _notes(
    old: PlacePackage,
    left_out: Sequence[LeftOut],
    time_N: NDArray[np.float64] | None,
    taught: Taught,
) -> tuple[str, ...]:
    notes = []
    if left_out:
        notes.append(f"{len(left_out)} corrections left out: {_reasons(left_out)}")
    if time_N is None:
        notes.append(
            "not every photo says when it was taken, so the last third of the table counts as the "
            "newest photos"
        )
    if (taught.answer_before_M == taught.answer_after_M).all():
        notes.append("no answer on the newest photos changed")
    if old.place.get("thresholds"):
        notes.append("thresholds of the package were dropped: they belong to the old class rows")
    return tuple(notes)


def _reasons(left_out: Sequence[LeftOut]) -> str:
    counted = Counter(one.reason for one in left_out).most_common(3)
    return "; ".join(f"{reason} ({number})" for reason, number in counted)


def _members(old: PlacePackage, adapted: Adapted, model: bytes) -> dict[str, bytes]:
    card = unpack(old.path.read_bytes(), MEMBERS)["MODEL_CARD.md"].decode()
    return {
        "model.onnx": model,
        "MODEL_CARD.md": adapted_card(card, old, adapted).encode(),
        "labels.txt": "".join(f"{label}\n" for label in adapted.labels).encode(),
        "manifest.toml": sparrow_manifest(adapted.name, old.preprocessing).encode(),
    }


def _place(old: PlacePackage, adapted: Adapted) -> dict[str, object]:
    """Return the new ``place.json``: that of the parent, with what changed."""
    species = old.place["species"]
    outcomes = list(old.outcomes)
    assert isinstance(species, list)
    new = [name for name in adapted.added if name not in OUTCOMES]
    return {
        **old.place,
        "version": PACKAGE_VERSION,
        "name": adapted.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "homerange": __version__,
        "species": [*species, *map(_added_species, new)],
        "outcomes": [*outcomes, *(name for name in adapted.added if name in OUTCOMES)],
        "labels": list(adapted.labels),
        "thresholds": {},
        "adapted": adapted.to_json(old),
    }


def _added_species(name: str) -> dict[str, object]:
    return {
        "species": name,
        "common_name": "",
        "class_index": None,
        "reason": "added from your corrections",
        "strength": 0,
        "distance_band": "",
        "records_band": "",
    }
