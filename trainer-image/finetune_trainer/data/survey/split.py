"""Which rows are held out. Knows fingerprints and codes only, so every machine decides alike, in whatever order rows stand.

Rows are drawn in the order of their fingerprints, which is random but fixed by the seed. A stratum is held out in its share; a
unit (rows of one customer, near duplicates) is never torn.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from finetune_trainer.data.survey.duplicates import Codes, Rows
from finetune_trainer.data.survey.survey import Fingerprints

Counts = npt.NDArray[np.int64]
MOST = 2
"""A unit that would be the first of its stratum on the held-out side may bring that side to so many times its share."""


def hold_out(prints: Fingerprints, fraction: float, strata: Codes | None = None, units: Codes | None = None) -> Rows:
    """The held-out rows among different ones.

    Neither side is empty, and every stratum has rows on both sides where the units and the fraction allow it. Nothing is held
    out when it cannot be: all rows are one unit, or no stratum has two rows.
    """
    if units is not None:
        units = np.unique(units, return_inverse=True)[1].astype(np.int64)
    strata = np.zeros(len(prints), np.int64) if strata is None else np.unique(strata, return_inverse=True)[1].astype(np.int64)
    wanted = shares(np.bincount(strata), fraction, keys(prints, strata))
    if units is None or units.max(initial=-1) + 1 == len(prints):
        return smallest(prints, strata, wanted)
    return Units(prints, strata, units, wanted).held(fraction)


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
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return np.add.reduceat(prints[order], starts) if len(order) else prints


def smallest(prints: Fingerprints, strata: Codes, wanted: Counts) -> Rows:
    """The rows with the smallest fingerprints of each stratum."""
    order = np.lexsort((prints, strata))
    sizes = np.bincount(strata)
    place = np.arange(len(prints)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    held = np.zeros(len(prints), np.bool_)
    held[order] = place < wanted[strata[order]]
    return held


class Units:
    """Deals whole units: those that fit into every stratum's share, then those that bring the shares nearer."""

    def __init__(self, prints: Fingerprints, strata: Codes, units: Codes, wanted: Counts) -> None:
        kinds = len(wanted)
        cells, self._counts = np.unique(units * kinds + strata, return_counts=True)
        self._strata = cells % kinds
        self._border = np.flatnonzero(np.diff(cells // kinds, prepend=-1, append=-1)).tolist()
        self._prints, self._stratum_of, self._unit_of = prints, strata, units
        self._keys = keys(prints, units)
        self._size = np.bincount(units)
        self._all = np.bincount(strata)
        self._left = self._all.copy()
        self._open = wanted.copy()
        self._taken = np.zeros(len(self._size), np.bool_)
        self._held, self._wanted = 0, int(wanted.sum())

    def held(self, fraction: float) -> Rows:
        """The held-out rows."""
        several = self._in_order(self._size > 1)
        due = int((self._keys[several] < np.uint64(fraction * 2**64)).sum())
        small_first = np.lexsort((self._keys, self._size))
        self._take_those(several[:due], self._fits)
        self._take_single_rows()
        self._take_those(several[due:], self._fits)
        self._take_those(small_first, lambda unit: self._can_go(unit) and self._brings_nearer(unit))
        self._take_those(small_first, lambda unit: self._can_go(unit) and self._is_missed(unit))
        if not self._held and self._wanted and len(self._size) > 1:  # every unit is all of a stratum: torn shares are better than no rows
            self._take(int(small_first[0]))
        return self._taken[self._unit_of]

    def _in_order(self, which: Rows) -> Counts:
        """The numbers of these units, in the order in which they are drawn."""
        chosen = np.flatnonzero(which)
        return chosen[np.argsort(self._keys[chosen], kind="stable")]

    def _take_single_rows(self) -> None:
        """Fills up the shares with rows that are units by themselves."""
        rows = np.flatnonzero(self._size[self._unit_of] == 1)
        single = smallest(self._prints[rows], self._stratum_of[rows], self._open)
        self._taken[self._unit_of[rows[single]]] = True
        taken = np.bincount(self._stratum_of[rows[single]], minlength=len(self._open))
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
