"""RowMask that are there twice."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_trainer.data.profile.duplicates import Codes, copies_agree, different, first_of_each, joined_codes
from finetune_trainer.data.profile.profile import Hashes

PRINTS = st.lists(st.integers(0, 40), max_size=60)
PAIRS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20)


def numbers(*values: int) -> Hashes:
    """Hashes of rows."""
    return np.array(values, np.uint64)


def codes(*values: int) -> Codes:
    """A number for each row."""
    return np.array(values, np.int64)


def test_rows_of_the_validation_file_leave_the_training_file() -> None:
    """What is measured on is never trained on; the validation file stays whole but for its own duplicates."""
    left = different(numbers(1, 2, 2, 3, 4, 3), numbers(3, 5, 5, 9))
    assert left.train.tolist() == [True, True, False, False, True, False]
    assert left.validation.tolist() == [True, True, False, True]
    assert (left.duplicates, left.in_both) == (3, 1)


@settings(deadline=None)  # a loaded machine may pause for longer than any test takes
@given(train=PRINTS, validation=PRINTS)
def test_every_row_is_on_one_side_once(train: list[int], validation: list[int]) -> None:
    """And every row that was dropped is counted."""
    left = different(numbers(*train), numbers(*validation))
    kept = [*np.array(train, int)[left.train], *np.array(validation, int)[left.validation]]
    assert sorted(kept) == sorted({*train, *validation})
    assert len(kept) + left.duplicates + left.in_both == len(train) + len(validation)


def test_the_first_of_equal_rows_stays() -> None:
    """Messages name the first line."""
    assert first_of_each(numbers(5, 1, 5, 5, 1, 2)).tolist() == [True, True, False, False, False, True]


def test_equal_rows_with_different_values_take_one() -> None:
    """The same one in any order: the least hash."""
    assert copies_agree(codes(7, 3, 5, 9), numbers(1, 2, 1, 3)).tolist() == [5, 3, 5, 9]
    assert copies_agree(codes(), numbers()).tolist() == []


@settings(deadline=None)  # a loaded machine may pause for longer than any test takes
@given(pairs=PAIRS)
def test_chains_of_equal_numbers_are_joined(pairs: list[tuple[int, int]]) -> None:
    """RowMask of one customer and near duplicates of one of them stay together."""
    found = joined_codes(codes(*(a for a, _ in pairs)), codes(*(b for _, b in pairs))).tolist()
    reached = [{index} for index in range(len(pairs))]
    for _ in pairs:
        for index, rows in enumerate(reached):
            rows |= {o for o, p in enumerate(pairs) for i in list(rows) if p[0] == pairs[i][0] or p[1] == pairs[i][1]}
            reached[index] = rows
    assert all((found[a] == found[b]) == (b in reached[a]) for a in range(len(pairs)) for b in range(len(pairs)))
