"""Files of rows that are profiled for tests."""

import json
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

from finetune_api.resources.finetune_job import TaskName
from finetune_trainer.data.profile.dataset_file import DatasetFile, ProfiledFile
from finetune_trainer.data.reading.record_file import RecordFile
from finetune_trainer.tasks import TASKS

WORDS = ("printer", "invoice", "parcel", "refund", "password", "account", "screen", "cable", "delivery", "keyboard", "network", "mouse")


def text(number: int, words: int = 14) -> str:
    """Another text for each number; no two are near."""
    random = Random(number)
    return " ".join(random.choice(WORDS) + str(random.randint(0, 99)) for _ in range(words))


def labelled(number: int, label: Any = None, **more: Any) -> dict[str, Any]:
    """A classified row."""
    return {"text": text(number), "label": "ab"[number % 2] if label is None else label, **more}


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """A JSONL file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def profiled(
    path: Path, task: TaskName = "sequence-classification", group_by: str | None = None, stratify_by: str | None = None, seed: int = 42
) -> ProfiledFile:
    """A file and its profile."""
    records = RecordFile.open(path, path.name, "dataset.train.source", scratch=path.parent)
    file = DatasetFile.open(records, TASKS[task], fields=[name for name in (group_by, stratify_by) if name])
    return file.profiled(seed, group_by=group_by, stratify_by=stratify_by)
