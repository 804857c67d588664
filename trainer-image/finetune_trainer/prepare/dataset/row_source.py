"""Brings a file of rows onto this machine and profiles it. Knows one file at a time."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from difflib import get_close_matches

import msgspec

from finetune_api.resources.dataset import Split
from finetune_api.run_config import RunConfig, RunRows
from finetune_trainer.data.profile.dataset_file import DatasetFile, ProfiledFile, first_records
from finetune_trainer.data.reading.record import Record
from finetune_trainer.data.reading.record_file import RecordFile
from finetune_trainer.failure import invalid
from finetune_trainer.prepare.disk_space import check_space
from finetune_trainer.sources.open import fetch_file, look_for
from finetune_trainer.sources.subject import Subject
from finetune_trainer.stage.progress import ProgressPrinter
from finetune_trainer.tasks import AnyTask
from finetune_trainer.workspace.files import free_bytes
from finetune_trainer.workspace.workspace import Workspace

_SHOWN = 20
"""Fields that a message names."""


def look_for_rows(config: RunConfig) -> None:
    """Raises StageFailure where the training or the validation file is not there: found out before anything is downloaded."""
    for part, rows in (("train", config.dataset.train), ("validation", config.dataset.validation)):
        if rows is not None:
            look_for(rows, subject_of(rows, f"dataset.{part}.source"), config.network)


def subject_of(rows: RunRows, param: str) -> Subject:
    """A file of rows, for messages."""
    return Subject(rows.name, param, "DataNotFound")


class RowSource:
    """Opens the files of one dataset."""

    def __init__(self, config: RunConfig, task: AnyTask, workspace: Workspace, progress: ProgressPrinter) -> None:
        self.config = config
        self.task = task
        self.workspace = workspace
        self.progress = progress

    def open(self, rows: RunRows, param: str, split: Split | None = None) -> ProfiledFile:
        """Fetches and checks a file; raises StageFailure with its findings. `split` names fields that rows may have besides."""
        path = fetch_file(
            rows,
            subject_of(rows, param),
            self.workspace.downloads / param.split(".")[1],
            # the rows as text, and as much again for their token ids
            lambda size: check_space(2 * size, free_bytes(self.workspace.root), f"{rows.name} needs"),
            self._arriving(rows.name),
            self.config.network,
        )
        self.progress.show(f"checking {rows.name}", force=True)
        records = RecordFile.open(path, rows.name, param, format=rows.format, slice=rows.slice, scratch=self.workspace.downloads)
        group_by, stratify_by = (split.group_by, split.stratify_by) if split else (None, None)
        for part, name in (("groupBy", group_by), ("stratifyBy", stratify_by)):
            check_field(records, self.task, part, name)
        fields = [name for name in (group_by, stratify_by) if name]
        file = DatasetFile.open(records, self.task, columns=rows.columns, template=rows.template, fields=fields)
        profiled = file.profiled(
            split.seed if split else 0,
            max_invalid_fraction=self.config.dataset.limits.max_invalid_fraction,
            group_by=group_by,
            stratify_by=stratify_by,
            on_bytes=self._read(rows.name, records.bytes_total),
        )
        return replace(profiled, on_share=lambda share: self.progress.show(f"comparing the rows of {rows.name}: {share:.0%}"))

    def _arriving(self, name: str) -> Callable[[int], None]:
        """Counts the bytes of a download and shows them."""
        done = 0

        def on_bytes(count: int) -> None:
            nonlocal done
            done += count
            self.progress.show(f"downloading {name}: {done / 1e6:,.1f} MB")

        return on_bytes

    def _read(self, name: str, total: int) -> Callable[[int], None]:
        """Shows how much of a file is checked."""
        return lambda done: self.progress.show(f"checking {name}: {done / max(total, 1):.0%}")


def check_field(records: RecordFile, task: AnyTask, part: str, name: str | None) -> None:
    """Raises StageFailure when the first records have no field of this name; whether later ones have it is found when all are read."""
    if name is None:
        return
    found = fields_of(first_records(records))
    if found and name not in (*found, *task.fields):
        near = get_close_matches(name, found, 1)
        guess = f" (did you mean {near[0]!r}?)" if near else ""
        has = ", ".join(found[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")
        param = f"dataset.validation.split.{part}"
        raise invalid("InvalidSplit", f"{param}: the rows of {records.name} have no field {name!r}{guess}; they have {has}", param=param)


def fields_of(records: Sequence[Record]) -> list[str]:
    """The keys of records in order; nothing of those that are no objects."""
    found: dict[str, None] = {}
    for record in records:
        content = record.content
        if isinstance(content, bytes):
            try:
                content = msgspec.json.decode(content)
            except ValueError:
                continue
        found |= dict.fromkeys(content if isinstance(content, dict) else ())
    return list(found)
