"""Which rows are held out. Knows fingerprints and codes only, so every machine decides alike, in whatever order rows stand.

RowMask are drawn in the order of their fingerprints, which is random but fixed by the seed. A stratum is held out in its share; a
group (rows of one customer, near duplicates) is never split up.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from finetune_trainer.data.profile.duplicates import Codes, RowMask
from finetune_trainer.data.profile.profile import Hashes

Counts = npt.NDArray[np.int64]
ALONE = -1
MOST = 2
"""A group that would be the first of its stratum on the held-out side may bring that side to so many times its share."""


def hold_out(hashes: Hashes, fraction: float, strata: Codes | None = None, groups: Codes | None = None) -> RowMask:
    """The held-out rows among different ones. A row with the group ALONE is one by itself; int32 strata count from 0.

    Neither side is empty, and every stratum has rows on both sides where the groups and the fraction allow it. Nothing is held
    out when it cannot be: all rows are one group, or no stratum has two rows.
    """
    if strata is None:
        strata = np.zeros(len(hashes), np.int32)
    elif strata.dtype != np.int32:
        strata = numbered(strata)
    wanted = shares(np.bincount(strata), fraction, keys(hashes, strata))
    together = np.empty(0, np.int64) if groups is None else grouped_rows(groups)
    if groups is None or not len(together):
        return smallest(hashes, strata, wanted)
    return GroupAssignment(hashes, strata, together, numbered(groups[together]), wanted).held(fraction)


def numbered(codes: Codes) -> Codes:
    """The same codes as numbers from 0, without gaps."""
    return np.unique(codes, return_inverse=True)[1].astype(np.int32)


def grouped_rows(groups: Codes) -> Counts:
    """The rows that are not alone in their group."""
    rows = np.flatnonzero(groups != ALONE)
    codes = numbered(groups[rows])
    return rows[np.bincount(codes)[codes] > 1] if len(rows) else rows


def shares(sizes: Counts, fraction: float, ties: Hashes) -> Counts:
    """RowMask to hold out of each stratum: its share, rounded so that the sum is the share of all; 1 at least and one less than all.

    A stratum of one row stays in training. With more strata than rows to hold out, those with the largest remainders get one.
    """
    most = np.maximum(sizes - 1, 0)
    total = min(max(round(fraction * int(sizes.sum())), 1), int(most.sum()))
    least = np.minimum(most, 1) if int((most > 0).sum()) <= total else np.zeros_like(most)
    exact = sizes * fraction
    taken: Counts = np.clip(np.floor(exact).astype(np.int64), least, most)
    while (open_rows := total - int(taken.sum())) != 0:
        step = 1 if open_rows > 0 else -1
        movable = np.flatnonzero(taken < most if step > 0 else taken > least)
        order = movable[np.lexsort((ties[movable], step * (taken - exact)[movable]))]
        taken[order[: abs(open_rows)]] += step
    return taken


def keys(hashes: Hashes, codes: Codes) -> Hashes:
    """A fingerprint of each code: as random as its rows', and the same in any order of them."""
    found = np.zeros(codes.max(initial=-1) + 1, np.uint64)
    np.add.at(found, codes, hashes)
    return found


def smallest(hashes: Hashes, strata: Codes, wanted: Counts) -> RowMask:
    """The rows with the smallest fingerprints of each stratum, as many of them as there are."""
    order = np.lexsort((hashes, strata)) if len(wanted) > 1 else np.argsort(hashes, kind="stable")
    sizes = np.bincount(strata, minlength=len(wanted))
    borders = zip((np.cumsum(sizes) - sizes).tolist(), np.minimum(wanted, sizes).tolist(), strict=True)
    held = np.zeros(len(hashes), np.bool_)
    for start, count in borders:
        held[order[start : start + count]] = True
    return held


class GroupAssignment:
    """Assigns whole groups: those that fit into every stratum's share, then those that bring the shares nearer."""

    def __init__(self, hashes: Hashes, strata: Codes, together: Counts, groups: Codes, wanted: Counts) -> None:
        kinds = len(wanted)
        cells, self._counts = np.unique(groups.astype(np.int64) * kinds + strata[together], return_counts=True)
        self._strata = cells % kinds
        self._border = np.flatnonzero(np.diff(cells // kinds, prepend=-1, append=-1))
        self._prints, self._stratum_of, self._together, self._group_of = hashes, strata, together, groups
        self._keys = keys(hashes[together], groups)
        self._size = np.bincount(groups)
        self._all = np.bincount(strata)
        self._left = self._all.copy()
        self._open = wanted.copy()
        self._taken = np.zeros(len(self._size), np.bool_)
        self._singles = np.zeros(len(hashes), np.bool_)
        self._held, self._wanted = 0, int(wanted.sum())

    def held(self, fraction: float) -> RowMask:
        """The held-out rows."""
        drawn = np.argsort(self._keys, kind="stable")
        due = int((self._keys < np.uint64(fraction * 2**64)).sum())
        small_first = np.lexsort((self._keys, self._size))
        self._take_those(drawn[:due], self._fits)
        alone = np.ones(len(self._prints), np.bool_)
        alone[self._together] = False
        self._take_single_rows(np.flatnonzero(alone))
        self._take_those(drawn[due:], self._fits)
        self._take_those(small_first, lambda group: self._can_go(group) and self._brings_nearer(group))
        self._take_those(small_first, lambda group: self._can_go(group) and self._is_missed(group))
        if not self._held and self._wanted and len(self._together) < len(self._prints) + len(self._size) - 1:
            self._take(int(small_first[0]))  # every group is all of a stratum: uneven shares are better than no rows
        self._singles[self._together] = self._taken[self._group_of]
        return self._singles

    def _take_single_rows(self, rows: Counts) -> None:
        """Fills up the shares with rows that are groups by themselves."""
        strata = self._stratum_of[rows]
        single = smallest(self._prints[rows], strata, self._open)
        self._singles[rows] = single
        taken = np.bincount(strata[single], minlength=len(self._open))
        self._open -= taken
        self._left -= taken
        self._held += int(taken.sum())

    def _take_those(self, groups: Counts, accepted: Callable[[int], bool]) -> None:
        for group in groups:
            if not self._open.any():
                return
            if not self._taken[group] and accepted(group):
                self._take(group)

    def _take(self, group: int) -> None:
        self._taken[group] = True
        self._held += int(self._size[group])
        strata, counts = self._cells(group)
        self._open[strata] -= counts
        self._left[strata] -= counts

    def _cells(self, group: int) -> tuple[Counts, Counts]:
        """The strata that a group has rows of, and how many of each."""
        here = slice(self._border[group], self._border[group + 1])
        return self._strata[here], self._counts[here]

    def _fits(self, group: int) -> bool:
        strata, counts = self._cells(group)
        return bool((counts <= self._open[strata]).all())

    def _can_go(self, group: int) -> bool:
        """True when training keeps rows of each of its strata."""
        strata, counts = self._cells(group)
        return bool((counts < self._left[strata]).all())

    def _brings_nearer(self, group: int) -> bool:
        """True when the sum of the strata's distances from their shares becomes smaller."""
        strata, counts = self._cells(group)
        return int((counts - 2 * np.minimum(counts, np.maximum(self._open[strata], 0))).sum()) < 0

    def _is_missed(self, group: int) -> bool:
        """True when it is the first of a stratum that has a share, and not far too large."""
        if self._held and self._held + int(self._size[group]) > MOST * self._wanted:
            return False
        strata, _ = self._cells(group)
        return bool(((self._open[strata] > 0) & (self._left[strata] == self._all[strata])).any())
