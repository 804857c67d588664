"""The progress line: one line of JSON that survives the log it is mixed into."""

import pytest

from finetune_api.progress import PREFIX, Progress, last_progress

FIRST = Progress(stage="train", activity="training", step=1, total_steps=10, loss=2.5)
SECOND = Progress(stage="train", activity="training", step=2, total_steps=10, loss=2.25)

TAILS: list[tuple[str, str, Progress | None]] = [
    ("nothing", "", None),
    ("foreign lines only", "Loading weights\n{'loss': 1}\n{\"loss\": 1}\n", None),
    ("one", FIRST.line(), FIRST),
    ("the newest", f"{FIRST.line()}\n{SECOND.line()}\n", SECOND),
    ("mixed with other lines", f"start\n{FIRST.line()}\nUserWarning: x\n", FIRST),
    ("a torn end", f"{FIRST.line()}\n{SECOND.line()[:40]}", FIRST),
    ("a torn beginning", f"{FIRST.line()[20:]}\n{SECOND.line()}", SECOND),
    ("not an object", f'{FIRST.line()}\n{PREFIX}[1,2]}}\n', FIRST),
    ("a field of the wrong type", f'{FIRST.line()}\n{PREFIX}{{"stage":"train","activity":"x","step":"many"}}}}', FIRST),
    ("a field of a newer version", FIRST.line().replace('"loss"', '"new":1,"loss"'), FIRST),
]  # fmt: skip


@pytest.mark.parametrize(("tail", "expected"), [row[1:] for row in TAILS], ids=[row[0] for row in TAILS])
def test_the_newest_whole_line_counts(tail: str, expected: Progress | None) -> None:
    """What is torn, foreign or wrong is passed over."""
    assert last_progress(tail) == expected


def test_a_margin_below_zero_is_a_figure() -> None:
    """It says that the wrong answers are preferred; a loss below zero says nothing."""
    read = last_progress(Progress(stage="train", activity="training", reward_margin=-0.3, loss=-1.0).line())
    assert read is not None
    assert (read.reward_margin, read.loss) == (-0.3, None)


def test_a_line_is_one_line() -> None:
    """Whatever the activity says; what is not known is left out."""
    line = Progress(stage="publish", activity="evaluating\nthe base").line()
    assert line.startswith(PREFIX)
    assert "\n" not in line
    assert "loss" not in line
