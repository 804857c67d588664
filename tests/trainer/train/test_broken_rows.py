"""Rows that training cannot use are named by the lines of the dataset."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from finetune_api.exit_codes import ExitCode
from finetune_trainer.failure import StageFailure
from finetune_trainer.step_plan import StepPlan
from finetune_trainer.train.loop.steps import StepDataset
from finetune_trainer.train.row_places import RowPlaces
from tests.trainer.train.conftest import VOCABULARY, run_here
from tests.trainer.train.runs import Run, write_table

pytestmark = [pytest.mark.trainer, pytest.mark.timeout(300)]
ROWS = 8


def broken(run: Run, ids: list[list[int]], masks: list[list[bool]]) -> StageFailure:
    """What ends a training on these rows."""
    write_table(run.workspace.train_rows, ids, masks)
    with pytest.raises(StageFailure) as caught:
        run_here(run)
    return caught.value


@pytest.mark.parametrize(
    ("token", "rows", "named"),
    [(VOCABULARY, [2], "rows.jsonl, line 6:"), (2**30, [1, 7], "rows.jsonl, lines 4 and 16:"), (-1, [0], "rows.jsonl, line 2:")],
)
def test_a_token_that_the_model_does_not_have(new_run: Callable[..., Run], token: int, rows: list[int], named: str) -> None:
    """It is found before the first step; on a GPU the process would end without a word."""
    ids = [[5, 6, token if row in rows else 7] for row in range(ROWS)]
    failure = broken(new_run(), ids, [[False, True, True]] * ROWS)
    assert failure.exit_code == ExitCode.WORKSPACE_DAMAGED, "prepare has checked it: it has to do so again"
    assert failure.error.message.startswith(named)


def test_a_row_that_breaks_the_collator(new_run: Callable[..., Run]) -> None:
    """The step that has it fails, and the message says where it is and what happened."""
    run = new_run(hyper={"shuffle": False, "batch_size": 2, "micro_batch_tokens": 3, "steps_per_epoch": 4, "total_steps": 4})
    failure = broken(run, [[5, 6, 7]] * ROWS, [[False, True, True, row == 4] for row in range(ROWS)])
    assert (failure.exit_code, failure.error.code) == (ExitCode.INTERNAL_ERROR, "StepFailed")
    assert failure.error.message.startswith("step 3 failed at rows.jsonl, line 10: IndexError: ")
    assert len(run.metrics()) == 2


def test_a_filler_has_no_rows_to_name() -> None:
    """Of a step that is divided among three ranks, every row is named once; the third rank computes a copy of one without a target."""
    learner: Any = SimpleNamespace(batch=lambda examples: examples)
    lengths = np.full(2, 6)
    plan = StepPlan(lengths, lengths, batch_size=2, token_budget=6, seed=7, world=3)
    steps = [StepDataset(plan, learner, rank)[0, 0] for rank in range(3)]
    assert sorted(row for step in steps for rows in step.rows for row in rows) == [0, 1]
    assert {len(step.rows) for step in steps} == {1}


def test_places_of_rows(new_run: Callable[..., Run]) -> None:
    """In the order of the file, the first ones; several examples of a row are one place."""
    places = RowPlaces(new_run().workspace.train_rows)
    assert places.of([3, 0, 9, 5, 5]) == "rows.jsonl, lines 2, 8, 12 and 1 more"
    assert places.of([5, 5]) == "rows.jsonl, line 12"
    assert places.of([]) == "rows.jsonl"
