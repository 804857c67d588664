"""Files of rows as the tests of rows and profiles open them."""

from pathlib import Path
from typing import Any

import pytest

from finetune_api.result import StageError
from finetune_trainer.data.profile.dataset_file import DatasetFile
from finetune_trainer.data.reading.record_file import RecordFile
from finetune_trainer.failure import StageFailure
from finetune_trainer.tasks import TASKS
from finetune_trainer.tasks.rows import Row

NAME, PARAM = "pvc://data/train.jsonl", "dataset.train.source"


def opened(path: Path, content: bytes, task: str = "chat", **settings: Any) -> DatasetFile:
    """A file with this content."""
    path.write_bytes(content)
    return DatasetFile.open(RecordFile.open(path, NAME, PARAM, scratch=path.parent), TASKS[task], **settings)


def rows_of(path: Path, content: bytes, task: str = "chat", **settings: Any) -> list[Row]:
    """All rows of a file that is right."""
    file = opened(path, content, task, **settings)
    profile = file.profiled(1).profile
    rows = [row for _, row in file.rows(profile.invalid)]
    assert len(rows) == len(profile.hashes) == profile.rows_read
    return rows


def refusal(path: Path, content: bytes, task: str = "chat", **settings: Any) -> StageError:
    """The error that a file leads to."""
    with pytest.raises(StageFailure) as caught:
        opened(path, content, task, **settings).profiled(1)
    error = caught.value.error
    assert error.code == "InvalidDataset"
    assert NAME in error.message
    return error


def finding(path: Path, line: bytes, others: list[bytes], task: str = "chat", **settings: Any) -> StageError:
    """The error of a file whose third line is wrong, and all others are right."""
    error = refusal(path, b"\n".join([*others[:2], line, *others[2:]]), task, **settings)
    assert f"1 of {len(others) + 1} rows is invalid" in error.message
    assert all(detail.startswith("line 3: ") for detail in error.details)
    assert error.param == PARAM
    return error
