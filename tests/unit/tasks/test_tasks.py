"""The registry of tasks, and what every task must hold."""

import json
from pathlib import Path
from typing import get_args

import pytest

from finetune_api.resources import finetune_job
from finetune_trainer.data.rows.shape import shape_of
from finetune_trainer.failure import StageFailure
from finetune_trainer.tasks import TASKS, find_task
from finetune_trainer.tasks.layouts.context import Context
from finetune_trainer.tasks.rows import identity
from tests.unit.data.rows.files import rows_of


def test_the_custom_resource_lists_the_tasks() -> None:
    """What users may write and what this package has are the same."""
    assert tuple(TASKS) == get_args(finetune_job.TaskName)


def test_an_unknown_task_is_refused_with_the_known_ones() -> None:
    """Before anything is read."""
    with pytest.raises(StageFailure, match="task: unknown task 'poetry'; known: chat, completion, ") as caught:
        find_task("poetry")
    assert (caught.value.error.code, caught.value.error.param) == ("InvalidSpec", "task")


@pytest.mark.parametrize("name", TASKS)
def test_the_example_of_a_task_is_a_row(name: str, tmp_path: Path) -> None:
    """It is read in the task's own layout, and at once as well as by itself."""
    task = TASKS[name]
    line = json.dumps(task.example).encode()
    (row,) = rows_of(tmp_path / "rows.jsonl", line, name)
    shape = shape_of([], task, table=False, columns={}, template=None, fields=())
    assert identity(task.row(dict(task.example), shape.layout, Context())) == identity(row)
    assert set(task.example) >= set(task.required)
    assert task.text(row)
