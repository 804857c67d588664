"""A file of rows of one task: what it looks like, its survey, and its rows. Knows neither tokens nor the split."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from finetune_api.resources.finetune_job import Task
from finetune_api.resources.source import RowTemplate
from finetune_trainer.data.reading.record_file import RecordFile
from finetune_trainer.data.reading.stream import Progress, no_progress
from finetune_trainer.data.rows.types import Row
from finetune_trainer.data.survey.survey import Measure, Survey

NONE_INVALID: npt.NDArray[np.int64] = np.empty(0, np.int64)


@dataclass(frozen=True)
class RowFile:
    """A file of rows that can be read again and again."""

    records: RecordFile
    task: Task

    @property
    def name(self) -> str:
        """As the user wrote it."""
        return self.records.name

    @property
    def param(self) -> str:
        """The spec field that names it: dataset.train.source."""
        return self.records.param

    @property
    def format(self) -> str:
        """What it was recognised as, for people: "JSONL, OpenAI chat"."""
        raise NotImplementedError

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth saying about how the file is read, a sentence each: columns that are ignored."""
        raise NotImplementedError

    @classmethod
    def open(
        cls,
        records: RecordFile,
        task: Task,
        *,
        columns: Mapping[str, str] | None = None,
        template: RowTemplate | None = None,
        fields: Sequence[str] = (),
    ) -> "RowFile":
        """Recognises what the records look like by the first of them.

        `fields` are further fields that rows may have: those named by split.groupBy and split.stratifyBy. Raises StageFailure
        InvalidDataset for a file of another task, or where a column or a template's field is not there.
        """
        raise NotImplementedError

    def survey(
        self,
        seed: int,
        *,
        max_invalid_fraction: float = 0,
        group_by: str | None = None,
        stratify_by: str | None = None,
        measure: Measure | None = None,
        on_bytes: Progress = no_progress,
    ) -> Survey:
        """Reads the whole file once and checks every row.

        Raises StageFailure InvalidDataset with the findings when more than `max_invalid_fraction` of the rows are invalid.
        `measure` is called with some hundred rows at a time, maybe in another process: it must be picklable.
        `on_bytes` is called with the bytes of the file that were read so far.
        """
        raise NotImplementedError

    def rows(self, invalid: npt.NDArray[np.int64] = NONE_INVALID) -> Iterator[tuple[str, Row]]:
        """Where each valid row is ("line 17") and what it says, in order: one for each entry of the survey's prints.

        `invalid` is the survey's. Raises StageFailure DataChanged.
        """
        raise NotImplementedError
