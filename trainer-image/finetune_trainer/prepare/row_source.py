"""Brings a file of rows onto this machine and surveys it. Knows one file at a time."""

from collections.abc import Callable

from finetune_api.resources.finetune_job import Split
from finetune_api.run_config import RunConfig, RunRows
from finetune_trainer.data.reading.record_file import RecordFile
from finetune_trainer.data.survey.near_rows import Surveyed
from finetune_trainer.data.survey.row_file import RowFile
from finetune_trainer.files import free_bytes
from finetune_trainer.prepare.estimate import check_space
from finetune_trainer.progress import ProgressPrinter
from finetune_trainer.sources.open import fetch_file
from finetune_trainer.sources.subject import Subject
from finetune_trainer.workspace import Workspace


class RowSource:
    """Opens the files of one data set."""

    def __init__(self, config: RunConfig, workspace: Workspace, progress: ProgressPrinter) -> None:
        self.config = config
        self.workspace = workspace
        self.progress = progress

    def open(self, rows: RunRows, param: str, split: Split | None = None) -> Surveyed:
        """Fetches and checks a file; raises StageFailure with its findings. `split` names fields that rows may have besides."""
        path = fetch_file(
            rows,
            Subject(rows.name, param, "DataNotFound"),
            self.workspace.downloads / param.split(".")[1],
            # the rows as text, and as much again for their token ids
            lambda size: check_space(2 * size, free_bytes(self.workspace.root), f"{rows.name} needs"),
            self._arriving(rows.name),
            self.config.network,
        )
        self.progress.show(f"checking {rows.name}", force=True)
        records = RecordFile.open(path, rows.name, param, format=rows.format, slice=rows.slice, scratch=self.workspace.downloads)
        group_by, stratify_by = (split.group_by, split.stratify_by) if split else (None, None)
        fields = [name for name in (group_by, stratify_by) if name]
        file = RowFile.open(records, self.config.task, columns=rows.columns, template=rows.template, fields=fields)
        survey = file.survey(
            split.seed if split else 0,
            max_invalid_fraction=self.config.dataset.limits.max_invalid_fraction,
            group_by=group_by,
            stratify_by=stratify_by,
            on_bytes=self._read(rows.name, records.bytes_total),
        )
        return Surveyed(file, survey)

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
