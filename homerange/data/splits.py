"""Splits: 70 % to train, 15 % to select, 15 % to report, without near-copies on two sides.

What belongs together is never divided: rows of one image, of one camera (``location_id``), else
of one sequence, else of one burst (one region, no gap above 60 seconds; rows without a time stand
alone). A sequence in which any row lacks its camera stays whole. Groups are then dealt out so
that every species comes near the wanted shares.

Source of the dealing: iterative stratification (Sechidis, Tsoumakas and Vlahavas, ECML 2011).
Where we differ: the order of groups is fixed beforehand (rarest species first, then large groups
first); all species of a group have a say, weighed by the share of their photos in it; and a
species asks for what it lacks of the photos dealt so far, not of all its photos, or the common
species of the first groups would send them all to train. Groups of one row come last, many at a
time, so that a million photos take seconds.

Axes used in this file:
    N  rows      G  groups      K  classes (null species is one)      S  splits
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from homerange.data.manifest import SPLITS, Manifest
from homerange.data.names import OUTCOMES
from homerange.data.times import seconds_N
from homerange.errors import ConfigError, ManifestError

__all__ = [
    "BURST_GAP_S",
    "MIXED_BURST_SPECIES",
    "SMALL_SPECIES_PHOTOS",
    "Splits",
    "assign_splits",
    "groups_N",
    "reunite",
]

BURST_GAP_S = 60.0
SMALL_SPECIES_PHOTOS = 5
MIXED_BURST_SPECIES = 5

_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Splits:
    """The split of each row and what the user should know about it."""

    names: list[str]
    """``train``, ``val`` or ``test`` for each row."""

    notes: list[str]


def assign_splits(
    manifest: Manifest, *, fractions: Sequence[float] = (0.70, 0.15, 0.15), seed: int
) -> Splits:
    """Give every row a split; splits that the manifest already has are kept.

    The result depends on the rows and the seed, not on the order of the rows.

    Args:
        manifest: The rows.
        fractions: Wanted shares of train, val and test; they add up to 1.
        seed: Seed of the shuffle.

    Raises:
        ConfigError: If the fractions are not three shares that add up to 1.
        ManifestError: If the manifest has a split of another name.
    """
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ConfigError(
            f"split fractions are {tuple(fractions)}; expected three that add up to 1"
        )
    if len(manifest) == 0:
        return Splits([], [])
    order_N = _row_order(manifest)
    ordered = Manifest(manifest.table.take(pa.array(order_N)), manifest.root)
    group_N = groups_N(ordered)
    given_N = np.array([_split_code(name) for name in ordered.strings("split")], dtype=np.int64)
    code_N, divided = _given_groups(group_N, given_N)
    class_N, classes = _codes(ordered.table["species"], null_is_a_class=True)
    dealer = _Dealer(class_N, len(classes), np.asarray(fractions, dtype=np.float64), code_N)
    dealer.deal(group_N, np.random.default_rng(seed))
    names_N = np.empty(len(order_N), dtype=object)
    names_N[order_N] = np.array(SPLITS, dtype=object)[dealer.code_N]
    notes = [*_group_notes(ordered, group_N, divided), *_class_notes(dealer, classes)]
    return Splits(names_N.tolist(), notes)


def reunite(manifest: Manifest) -> tuple[list[str | None], int]:
    """Give each group that stands on several sides of given splits one of them.

    The first of train, val and test wins: val and test must not see its neighbours.

    Args:
        manifest: The rows, with their splits.

    Returns:
        Split of each row, and the number of groups that were divided.

    Raises:
        ManifestError: If the manifest has a split of another name.
    """
    group_N = groups_N(manifest)
    given_N = np.array([_split_code(name) for name in manifest.strings("split")], dtype=np.int64)
    first_G, divided_G = _sides(group_N, given_N)
    code_N = np.where(divided_G[group_N], first_G[group_N], given_N)
    names = [None if code < 0 else SPLITS[code] for code in code_N.tolist()]
    return names, int(divided_G.sum())


def groups_N(manifest: Manifest) -> _Ints:
    """Return a group number for each row, shape (N,): rows with the same number stay together."""
    table = manifest.table
    image_N, _ = _codes(table["image"])
    camera_N, _ = _codes(table["location_id"])
    sequence_N, _ = _codes(table["sequence_id"])
    # A sequence of which every row has a camera adds nothing (its id may be used by two cameras).
    open_N = np.isin(sequence_N, sequence_N[camera_N < 0]) & (sequence_N >= 0)
    sequence_N = np.where(open_N, sequence_N, -1)
    alone_N = (camera_N < 0) & (sequence_N < 0)
    region_N, _ = _codes(table["region_id"])
    burst_N = _bursts_N(region_N, seconds_N(manifest.strings("datetime")), alone_N)
    return _join([image_N, camera_N, sequence_N, burst_N])


def _bursts_N(region_N: _Ints, second_N: _Floats, use_N: NDArray[np.bool_]) -> _Ints:
    burst_N = np.full(len(region_N), -1, dtype=np.int64)
    index = np.flatnonzero(use_N & ~np.isnan(second_N))
    if len(index) == 0:
        return burst_N
    index = index[np.lexsort((second_N[index], region_N[index]))]
    gap = np.diff(second_N[index]) > BURST_GAP_S
    new = np.diff(region_N[index]) != 0
    burst_N[index] = np.concatenate([[0], np.cumsum(gap | new)])
    return burst_N


def _join(keys: Sequence[_Ints]) -> _Ints:
    """Number the connected parts: rows that share any key (-1 is no key) are connected."""
    label_N = np.arange(len(keys[0]))
    while True:
        before_N = label_N.copy()
        for key_N in keys:
            known_N = key_N >= 0
            least = np.full(int(key_N.max(initial=-1)) + 1, len(label_N))
            np.minimum.at(least, key_N[known_N], label_N[known_N])
            label_N[known_N] = least[key_N[known_N]]
        if np.array_equal(label_N, before_N):
            return np.unique(label_N, return_inverse=True)[1].astype(np.int64)


class _Dealer:
    """Hands out groups and keeps count of the rows of each class in each split."""

    def __init__(self, class_N: _Ints, classes: int, fraction_S: _Floats, code_N: _Ints) -> None:
        self.class_N, self.code_N, self.fraction_S = class_N, code_N, fraction_S
        self.total_K = np.bincount(class_N, minlength=classes)
        self.count_KS = np.zeros((classes, len(SPLITS)), dtype=np.int64)
        self.lag_S = np.zeros(len(SPLITS))  # rows that a split should have of those dealt so far
        given_N = code_N >= 0
        for split in range(len(SPLITS)):
            self._give(*np.unique(class_N[code_N == split], return_counts=True), split)
        self.free_N = np.flatnonzero(~given_N)

    def deal(self, group_N: _Ints, random: np.random.Generator) -> None:
        """Deal groups of several rows one by one, then the single rows class by class."""
        if len(self.free_N) == 0:
            return
        free_N = self.free_N[np.argsort(group_N[self.free_N], kind="stable")]
        _, start_G, size_G = np.unique(group_N[free_N], return_index=True, return_counts=True)
        rarest_G = np.minimum.reduceat(self.total_K[self.class_N[free_N]], start_G)
        order_G = np.lexsort((random.permutation(len(start_G)), -size_G, rarest_G))
        for g in order_G[size_G[order_G] > 1]:
            self._place(free_N[start_G[g] : start_G[g] + size_G[g]])
        single_N = free_N[start_G[order_G[size_G[order_G] == 1]]]  # rarest class first
        kind_N = self.class_N[single_N]
        by_kind = np.lexsort((kind_N, self.total_K[kind_N]))
        cuts = np.flatnonzero(np.diff(kind_N[by_kind])) + 1
        for rows in np.split(single_N[by_kind], cuts):
            self._fill(rows)

    def _place(self, rows: _Ints) -> None:
        """Put one group where its classes, and after them the whole, lag behind most.

        A class of which c rows join the m dealt so far should then have (m + c) * fraction in a
        split; what it lacks counts by the share c / n of its rows that this group holds.
        """
        kinds, counts = np.unique(self.class_N[rows], return_counts=True)
        dealt_KS = self.count_KS[kinds]
        due_KS = (dealt_KS.sum(1) + counts)[:, None] * self.fraction_S
        pull_S = (counts / self.total_K[kinds]) @ (due_KS - dealt_KS)
        pull_S = pull_S + len(rows) / len(self.class_N) * self.lag_S
        split = int(pull_S.argmax())
        self.code_N[rows] = split
        self._give(kinds, counts, split)

    def _fill(self, rows: _Ints) -> None:
        """Share the single rows of one class out over the splits, in whole numbers."""
        if len(rows) == 0:
            return
        kind = self.class_N[rows[:1]]
        want_S = self.total_K[kind[0]] * self.fraction_S - self.count_KS[kind[0]]
        want_S = np.maximum(want_S, 0)
        exact_S = want_S * (len(rows) / want_S.sum())
        share_S = np.floor(exact_S + 1e-9).astype(np.int64)
        if self.count_KS[kind[0], 0] + share_S[0] == 0 and self.fraction_S[0] > 0:
            share_S[0] = 1  # a class is learnt from at least one photo
            if share_S.sum() > len(rows):
                share_S[1 + int(share_S[1:].argmax())] -= 1
        # What rounding leaves over goes where the whole lags behind most.
        remainder_S = exact_S - share_S
        left = len(rows) - int(share_S.sum())
        urgency_S = np.where(remainder_S > 1e-9, remainder_S + self.lag_S, -np.inf)
        share_S[np.argsort(-urgency_S, kind="stable")[:left]] += 1
        for split, part in enumerate(np.split(rows, np.cumsum(share_S)[:-1])):
            self.code_N[part] = split
            self._give(kind, np.array([len(part)]), split)

    def _give(self, kinds: _Ints, counts: _Ints, split: int) -> None:
        self.count_KS[kinds, split] += counts
        self.lag_S += counts.sum() * self.fraction_S
        self.lag_S[split] -= counts.sum()


def _given_groups(group_N: _Ints, given_N: _Ints) -> tuple[_Ints, int]:
    """Let rows without a split follow their group; count the groups given on two sides."""
    first_G, divided_G = _sides(group_N, given_N)
    # In a divided group a row without a split joins train: test must not see its neighbours.
    return np.where(given_N >= 0, given_N, first_G[group_N]), int(divided_G.sum())


def _sides(group_N: _Ints, given_N: _Ints) -> tuple[_Ints, NDArray[np.bool_]]:
    """Find the first split that is given in each group, -1 for none, and the divided groups."""
    lowest_G = np.full(int(group_N.max(initial=-1)) + 1, len(SPLITS))
    highest_G = np.full_like(lowest_G, -1)
    known_N = given_N >= 0
    np.minimum.at(lowest_G, group_N[known_N], given_N[known_N])
    np.maximum.at(highest_G, group_N[known_N], given_N[known_N])
    return np.where(highest_G >= 0, lowest_G, -1), (highest_G >= 0) & (lowest_G != highest_G)


def _row_order(manifest: Manifest) -> _Ints:
    keys = [("image", "ascending"), ("observation_id", "ascending")]
    return np.asarray(pc.sort_indices(manifest.table, sort_keys=keys), dtype=np.int64)


def _codes(
    column: pa.ChunkedArray, *, null_is_a_class: bool = False
) -> tuple[_Ints, list[str | None]]:
    """Number the distinct values in the order of their first row; -1 is null."""
    how = "encode" if null_is_a_class else "mask"
    encoded = column.combine_chunks().dictionary_encode(null_encoding=how)
    codes_N = np.asarray(encoded.indices.fill_null(-1), dtype=np.int64)
    return codes_N, encoded.dictionary.to_pylist()


def _split_code(name: str | None) -> int:
    if name is None:
        return -1
    if name not in SPLITS:
        raise ManifestError(f"no split is named {name!r}; expected one of {', '.join(SPLITS)}")
    return SPLITS.index(name)


def _group_notes(manifest: Manifest, group_N: _Ints, divided: int) -> list[str]:
    table = manifest.table
    alone = pc.and_(pc.is_null(table["location_id"]), pc.is_null(table["sequence_id"]))
    # Six species within a minute of each other are rarely one burst.
    mixed = pa.table({"group": group_N, "species": table["species"]}).filter(alone)
    kinds_G = mixed.group_by("group").aggregate([("species", "count_distinct"), ([], "count_all")])
    busy_G = kinds_G.filter(pc.greater(kinds_G["species_count_distinct"], MIXED_BURST_SPECIES))
    facts = (
        (
            pc.sum(alone).as_py(),
            "rows have no camera: they are kept together by time only, so val and test may show "
            "the camera sites of train and look too good",
        ),
        (
            pc.sum(busy_G["count_all"]).as_py(),
            f"rows are in {len(busy_G):,} bursts of more than {MIXED_BURST_SPECIES} species, each "
            "kept on one side: are these times of capture, or of copying?",
        ),
        (
            divided,
            "cameras, sequences or bursts are on two sides of the splits that the table gives: "
            "val and test will look too good",
        ),
    )
    return [f"{count:,} {what}" for count, what in facts if count]


def _class_notes(dealer: _Dealer, classes: Sequence[str | None]) -> list[str]:
    count_KS = dealer.count_KS
    few_groups = "too few cameras, sequences or photos to divide"
    why = few_groups if len(dealer.free_N) else "the data set gives none"
    empty = [name for name, rows in zip(SPLITS, count_KS.sum(0), strict=True) if rows == 0]
    named = sorted((name, k) for k, name in enumerate(classes) if name and name not in OUTCOMES)
    total_K = count_KS.sum(1)
    few = [name for name, k in named if total_K[k] < SMALL_SPECIES_PHOTOS]
    unlearnt = [name for name, k in named if count_KS[k, 0] == 0]
    unmeasured = [name for name, k in named if count_KS[k, 1:].sum() == 0 and name not in few]
    facts = (
        (empty, f"splits have no rows: {why}"),
        (few, f"species have fewer than {SMALL_SPECIES_PHOTOS} photos"),
        (unlearnt, "species have no photo in train and cannot be learnt"),
        (unmeasured, "species have no photo in val or test and cannot be measured"),
    )
    return [f"{len(names):,} {what}: {_list(names)}" for names, what in facts if names]


def _list(names: Sequence[str], show: int = 5) -> str:
    more = f" and {len(names) - show:,} more" if len(names) > show else ""
    return ", ".join(names[:show]) + more
