"""Which rows are held out."""

from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_trainer.data.profile.duplicates import Codes, RowMask
from finetune_trainer.data.profile.hold_out import ALONE, hold_out
from finetune_trainer.data.profile.profile import Hashes

FRACTIONS = st.floats(0.001, 0.999)
ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), min_size=2, max_size=60)
"""A stratum and a unit of each row."""


def some(count: int, seed: int = 0) -> Hashes:
    """Hashes of different rows."""
    return np.random.default_rng(seed).integers(0, 2**64, count, np.uint64)


def codes(*values: int) -> Codes:
    """A number for each row."""
    return np.array(values, np.int64)


def units_of(rows: list[tuple[int, int]]) -> Codes:
    """A unit has rows of one stratum here."""
    return codes(*(stratum * 100 + unit for stratum, unit in rows))


@given(count=st.integers(2, 300), fraction=FRACTIONS)
def test_the_share_is_met_and_no_side_is_empty(count: int, fraction: float) -> None:
    """Rounded to a row, at least one and not all."""
    held = hold_out(some(count), fraction)
    assert held.sum() == min(max(round(count * fraction), 1), count - 1)


@given(rows=ROWS, fraction=FRACTIONS)
def test_every_stratum_with_two_rows_is_on_both_sides(rows: list[tuple[int, int]], fraction: float) -> None:
    """Where there are fewer strata than rows to hold out; then its share is met but for a row, unless the others need one."""
    strata = codes(*(stratum for stratum, _ in rows))
    held = hold_out(some(len(rows)), fraction, strata)
    sizes, counts = Counter(strata.tolist()), Counter(strata[held].tolist())
    several = [stratum for stratum, size in sizes.items() if size > 1]
    wanted = min(max(round(len(rows) * fraction), 1), sum(sizes[stratum] - 1 for stratum in several))
    assert held.sum() == wanted
    assert all(counts[stratum] < sizes[stratum] for stratum in sizes)
    if len(several) <= wanted:
        assert all(counts[stratum] >= 1 for stratum in several)


@given(rows=ROWS, fraction=FRACTIONS, stratified=st.booleans())
def test_no_unit_is_torn(rows: list[tuple[int, int]], fraction: float, stratified: bool) -> None:
    """And neither side is empty when there are two units, and a stratum with two rows."""
    strata = codes(*(stratum for stratum, _ in rows)) if stratified else codes(*[0] * len(rows))
    units = codes(*(unit for _, unit in rows))
    held = hold_out(some(len(rows)), fraction, strata, units)
    assert not set(units[held]) & set(units[~held])
    if len(set(units)) > 1 and len(set(strata)) < len(rows):
        assert 0 < held.sum() < len(rows)


@given(rows=ROWS, fraction=FRACTIONS, shuffle=st.randoms(use_true_random=False), numbers=st.permutations(range(10)))
def test_the_order_of_rows_does_not_matter(rows: list[tuple[int, int]], fraction: float, shuffle: Random, numbers: list[int]) -> None:
    """The same rows are held out of a shuffled file, whatever the numbers of strata and units are."""
    hashes = some(len(rows))
    order = list(range(len(rows)))
    shuffle.shuffle(order)
    strata, units = codes(*(stratum for stratum, _ in rows)), codes(*(unit for _, unit in rows))
    for with_strata in (False, True):
        for with_units in (False, True):
            here = hold_out(hashes, fraction, strata if with_strata else None, units if with_units else None)
            renamed = [np.array(numbers)[part[order]] for part in (strata, units)]
            there = hold_out(hashes[order], fraction, renamed[0] if with_strata else None, renamed[1] if with_units else None)
            assert set(hashes[here].tolist()) == set(hashes[order][there].tolist())


@given(rows=ROWS, fraction=FRACTIONS, stratified=st.booleans())
def test_a_row_alone_is_a_unit_of_its_own(rows: list[tuple[int, int]], fraction: float, stratified: bool) -> None:
    """Saying so is the same as giving each a number."""
    strata = codes(*(stratum for stratum, _ in rows)) if stratified else None
    units = np.array([unit if unit < 5 else 100 + number for number, (_, unit) in enumerate(rows)])
    said = hold_out(some(len(rows)), fraction, strata, np.where(units < 100, units, ALONE))
    assert said.tolist() == hold_out(some(len(rows)), fraction, strata, units).tolist()


@given(sizes=st.lists(st.integers(1, 5), min_size=60, max_size=100), seed=st.integers(0, 9))
def test_the_share_is_met_with_units(sizes: list[int], seed: int) -> None:
    """Within half of the largest unit."""
    units = np.repeat(np.arange(len(sizes)), sizes)
    held = hold_out(some(len(units), seed), 0.2, None, units)
    assert abs(int(held.sum()) - 0.2 * len(units)) <= 3


def test_large_units_are_drawn_as_often_as_single_rows() -> None:
    """A tenth of the pairs is held out, too, not all of them or none."""
    units = np.concatenate((np.arange(4000), np.repeat(np.arange(4000, 6000), 2)))
    held = hold_out(some(8000), 0.1, None, units)
    assert held.sum() == 800
    assert 300 <= held[4000:].sum() <= 500


@pytest.mark.parametrize(
    "sizes, fraction, held",
    [
        ((90, 10), 0.1, (9, 1)),
        ((98, 2), 0.1, (9, 1)),
        ((99, 1), 0.1, (10, 0)),
        ((50, 30, 20), 0.5, (25, 15, 10)),
        ((5, 5), 0.01, (1, 0)),
        ((2, 2), 0.9, (1, 1)),
        ((1, 1), 0.5, (0, 0)),
    ],
)
def test_shares_of_strata(sizes: tuple[int, ...], fraction: float, held: tuple[int, ...]) -> None:
    """Each its share; a rare one still has a held-out row; a single row stays in training."""
    strata = np.repeat(np.arange(len(sizes)), sizes)
    counts = np.bincount(strata[hold_out(some(len(strata)), fraction, strata)], minlength=len(sizes))
    assert sorted(counts.tolist()) == sorted(held)


@pytest.mark.parametrize(
    "sizes, fraction, held",
    [
        ((80, 5, 5, 5, 5), 0.1, 10),
        ((60, 40), 0.1, 40),
        ((90, 1, 1), 0.5, 2),
        ((10,), 0.5, 0),
    ],
)
def test_units_larger_than_the_share(sizes: tuple[int, ...], fraction: float, held: int) -> None:
    """They stay in training while there are others; the smallest is held out when all are too large; one alone cannot be."""
    units = np.repeat(np.arange(len(sizes)), sizes)
    assert hold_out(some(len(units)), fraction, None, units).sum() == held


@pytest.mark.parametrize(
    "rows, fraction, held",
    [
        ([(0, 0)] * 5 + [(1, 1)] * 5, 0.1, 5),
        ([(0, 0)] * 5 + [(1, 1)] * 5 + [(0, 2)] * 5 + [(1, 3)] * 5, 0.5, 10),
        ([(0, unit) for unit in range(45) for _ in range(2)] + [(1, unit) for unit in range(5) for _ in range(2)], 0.1, 10),
    ],
)
def test_strata_of_units(rows: list[tuple[int, int]], fraction: float, held: int) -> None:
    """Units of a stratum are dealt by its share; where a stratum is one unit, shares cannot be kept but sides are not empty."""
    strata = codes(*(stratum for stratum, _ in rows))
    mask = hold_out(some(len(rows)), fraction, strata, units_of(rows))
    assert mask.sum() == held
    if len(set(rows)) > 2:
        assert set(strata[mask]) == set(strata)


def test_the_seed_is_in_the_fingerprints() -> None:
    """Other fingerprints, other rows; the numbers are written down because a change would move rows of existing jobs."""

    def chosen(held: RowMask) -> list[int]:
        return np.flatnonzero(held).tolist()

    hashes = np.arange(1, 21, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    assert chosen(hold_out(hashes, 0.2)) == [4, 9, 12, 17]
    assert chosen(hold_out(hashes * np.uint64(3), 0.2)) != [4, 9, 12, 17]
    assert chosen(hold_out(hashes, 0.2, None, np.arange(20) // 2)) == [14, 15, 18, 19]
