"""Which rows are held out."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_trainer.data.rows.conversation import canonical, decode
from finetune_trainer.data.survey.split import hold_out, own_validation
from finetune_trainer.data.survey.survey import Fingerprints, RowFile, fingerprint
from tests.unit.prepare.rows import good

PRINTS = st.lists(st.integers(0, 40), min_size=2, max_size=60).filter(lambda prints: len(set(prints)) > 1)


def numbers(*values: int) -> Fingerprints:
    """Fingerprints of rows."""
    return np.array(values, np.uint64)


@given(prints=PRINTS, fraction=st.floats(0.001, 0.999))
def test_a_split_takes_each_different_row_once(prints: list[int], fraction: float) -> None:
    """Duplicates are dropped and counted, so that none is on both sides; no side is empty."""
    sides = hold_out(numbers(*prints), fraction)
    train, validation = np.array(prints)[sides.train], np.array(prints)[sides.validation]
    assert sorted([*train, *validation]) == sorted(set(prints))
    assert len(train) >= 1
    assert len(validation) >= 1
    assert sides.duplicates == len(prints) - len(set(prints))


@given(prints=PRINTS, fraction=st.floats(0.001, 0.999), shuffle=st.randoms())
def test_a_split_does_not_depend_on_the_order_of_rows(prints: list[int], fraction: float, shuffle: st.DataObject) -> None:
    """The same rows are held out of a shuffled file."""
    shuffled = list(prints)
    shuffle.shuffle(shuffled)  # type: ignore[attr-defined]
    held = [set(np.array(order)[hold_out(numbers(*order), fraction).validation]) for order in (prints, shuffled)]
    assert held[0] == held[1]


@pytest.mark.parametrize("rows, fraction, expected", [(100, 0.1, 10), (10, 0.01, 1), (10, 0.99, 9), (15, 0.1, 2)])
def test_the_held_out_share(rows: int, fraction: float, expected: int) -> None:
    """The fraction is met exactly, rounded to a row."""
    assert hold_out(numbers(*range(rows)), fraction).validation.sum() == expected


def test_rows_of_an_own_validation_file_leave_the_training_file() -> None:
    """What is measured on is never trained on; the validation file stays whole."""
    sides = own_validation(numbers(1, 2, 2, 3, 4), numbers(3, 5, 5, 9))
    assert sides.train.tolist() == [True, True, False, False, True]
    assert sides.validation.tolist() == [True, True, False, True]
    assert (sides.duplicates, sides.in_both) == (2, 1)


def test_a_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    """Spaces, escapes and key order make no difference; the seed and every word do."""
    lines = [
        '{"messages": [{"role": "user", "content": "é"}, {"role": "assistant", "content": "b"}]}',
        '{ "messages":[ {"content":"\\u00e9","role":"user"},{"content":"b","role":"assistant"}]}',
        '{"messages": [{"role": "user", "content": "e"}, {"role": "assistant", "content": "b"}]}',
    ]
    (tmp_path / "a").write_text("\n".join(lines), encoding="utf-8")
    prints = RowFile.open(tmp_path / "a", "a", "p").survey(seed=1)
    assert prints[0] == prints[1] != prints[2]
    assert RowFile.open(tmp_path / "a", "a", "p").survey(seed=2)[0] != prints[0]


def test_a_fingerprint_is_the_same_on_every_machine() -> None:
    """Numbers written down once: a change would move rows between the sides of existing jobs."""
    assert fingerprint(canonical(decode(good(1))), 42) == 827717157368855109
    assert fingerprint(b"", 0) == 14100770264707963708
