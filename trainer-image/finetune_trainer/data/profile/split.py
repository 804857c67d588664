"""Which rows are held out. Knows fingerprints and codes only, so every machine decides alike, in whatever order rows stand.

Rows are drawn in the order of their fingerprints, which is random but fixed by the seed. A stratum is held out in its share; a
unit (rows of one customer, near duplicates) is never torn.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from finetune_trainer.data.profile.duplicates import Codes, Rows
from finetune_trainer.data.profile.survey import Fingerprints

Counts = npt.NDArray[np.int64]
ALONE = -1
MOST = 2
"""A unit that would be the first of its stratum on the held-out side may bring that side to so many times its share."""


def hold_out(prints: Fingerprints, fraction: float, strata: Codes | None = None, units: Codes | None = None) -> Rows:
    """The held-out rows among different ones. A row with the unit ALONE is one by itself; int32 strata count from 0.

    Neither side is empty, and every stratum has rows on both sides where the units and the fraction allow it. Nothing is held
    out when it cannot be: all rows are one unit, or no stratum has two rows.
    """
    if strata is None:
        strata = np.zeros(len(prints), np.int32)
    elif strata.dtype != np.int32:
        strata = numbered(strata)
    wanted = shares(np.bincount(strata), fraction, keys(prints, strata))
    together = np.empty(0, np.int64) if units is None else shared(units)
    if units is None or not len(together):
        return smallest(prints, strata, wanted)
    return Units(prints, strata, together, numbered(units[together]), wanted).held(fraction)


def numbered(codes: Codes) -> Codes:
    """The same codes as numbers from 0, without gaps."""
    return np.unique(codes, return_inverse=True)[1].astype(np.int32)


def shared(units: Codes) -> Counts:
    """The rows that are not alone in their unit."""
    rows = np.flatnonzero(units != ALONE)
    codes = numbered(units[rows])
    return rows[np.bincount(codes)[codes] > 1] if len(rows) else rows


def shares(sizes: Counts, fraction: float, ties: Fingerprints) -> Counts:
    """Rows to hold out of each stratum: its share, rounded so that the sum is the share of all; 1 at least and one less than all.

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


def keys(prints: Fingerprints, codes: Codes) -> Fingerprints:
    """A fingerprint of each code: as random as its rows', and the same in any order of them."""
    found = np.zeros(codes.max(initial=-1) + 1, np.uint64)
    np.add.at(found, codes, prints)
    return found


def smallest(prints: Fingerprints, strata: Codes, wanted: Counts) -> Rows:
    """The rows with the smallest fingerprints of each stratum, as many of them as there are."""
    order = np.lexsort((prints, strata)) if len(wanted) > 1 else np.argsort(prints, kind="stable")
    sizes = np.bincount(strata, minlength=len(wanted))
    borders = zip((np.cumsum(sizes) - sizes).tolist(), np.minimum(wanted, sizes).tolist(), strict=True)
    held = np.zeros(len(prints), np.bool_)
    for start, count in borders:
        held[order[start : start + count]] = True
    return held


class Units:
    """Deals whole units: those that fit into every stratum's share, then those that bring the shares nearer."""

    def __init__(self, prints: Fingerprints, strata: Codes, together: Counts, units: Codes, wanted: Counts) -> None:
        kinds = len(wanted)
        cells, self._counts = np.unique(units.astype(np.int64) * kinds + strata[together], return_counts=True)
        self._strata = cells % kinds
        self._border = np.flatnonzero(np.diff(cells // kinds, prepend=-1, append=-1))
        self._prints, self._stratum_of, self._together, self._unit_of = prints, strata, together, units
        self._keys = keys(prints[together], units)
        self._size = np.bincount(units)
        self._all = np.bincount(strata)
        self._left = self._all.copy()
        self._open = wanted.copy()
        self._taken = np.zeros(len(self._size), np.bool_)
        self._singles = np.zeros(len(prints), np.bool_)
        self._held, self._wanted = 0, int(wanted.sum())

    def held(self, fraction: float) -> Rows:
        """The held-out rows."""
        drawn = np.argsort(self._keys, kind="stable")
        due = int((self._keys < np.uint64(fraction * 2**64)).sum())
        small_first = np.lexsort((self._keys, self._size))
        self._take_those(drawn[:due], self._fits)
        alone = np.ones(len(self._prints), np.bool_)
        alone[self._together] = False
        self._take_single_rows(np.flatnonzero(alone))
        self._take_those(drawn[due:], self._fits)
        self._take_those(small_first, lambda unit: self._can_go(unit) and self._brings_nearer(unit))
        self._take_those(small_first, lambda unit: self._can_go(unit) and self._is_missed(unit))
        if not self._held and self._wanted and len(self._together) < len(self._prints) + len(self._size) - 1:
            self._take(int(small_first[0]))  # every unit is all of a stratum: torn shares are better than no rows
        self._singles[self._together] = self._taken[self._unit_of]
        return self._singles

    def _take_single_rows(self, rows: Counts) -> None:
        """Fills up the shares with rows that are units by themselves."""
        strata = self._stratum_of[rows]
        single = smallest(self._prints[rows], strata, self._open)
        self._singles[rows] = single
        taken = np.bincount(strata[single], minlength=len(self._open))
        self._open -= taken
        self._left -= taken
        self._held += int(taken.sum())

    def _take_those(self, units: Counts, accepted: Callable[[int], bool]) -> None:
        for unit in units:
            if not self._open.any():
                return
            if not self._taken[unit] and accepted(unit):
                self._take(unit)

    def _take(self, unit: int) -> None:
        self._taken[unit] = True
        self._held += int(self._size[unit])
        strata, counts = self._cells(unit)
        self._open[strata] -= counts
        self._left[strata] -= counts

    def _cells(self, unit: int) -> tuple[Counts, Counts]:
        """The strata that a unit has rows of, and how many of each."""
        here = slice(self._border[unit], self._border[unit + 1])
        return self._strata[here], self._counts[here]

    def _fits(self, unit: int) -> bool:
        strata, counts = self._cells(unit)
        return bool((counts <= self._open[strata]).all())

    def _can_go(self, unit: int) -> bool:
        """True when training keeps rows of each of its strata."""
        strata, counts = self._cells(unit)
        return bool((counts < self._left[strata]).all())

    def _brings_nearer(self, unit: int) -> bool:
        """True when the sum of the strata's distances from their shares becomes smaller."""
        strata, counts = self._cells(unit)
        return int((counts - 2 * np.minimum(counts, np.maximum(self._open[strata], 0))).sum()) < 0

    def _is_missed(self, unit: int) -> bool:
        """True when it is the first of a stratum that has a share, and not far too large."""
        if self._held and self._held + int(self._size[unit]) > MOST * self._wanted:
            return False
        strata, _ = self._cells(unit)
        return bool(((self._open[strata] > 0) & (self._left[strata] == self._all[strata])).any())
