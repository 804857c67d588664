"""A file of rows of one task: what it looks like, its profile, and its rows. Knows neither tokens nor the split."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
import numpy.typing as npt

from finetune_api.resources.source import RowTemplate
from finetune_trainer.data.profile.chunk_stats import ChunkStats, chunk_stats, join_stats
from finetune_trainer.data.profile.findings import Findings
from finetune_trainer.data.profile.processes import in_order, processes_for
from finetune_trainer.data.profile.profile import Profile, profile_of
from finetune_trainer.data.reading.byte_range import ByteRange, byte_ranges
from finetune_trainer.data.reading.record import Block, NotRows, Record, Unreadable, size_of
from finetune_trainer.data.reading.record_file import RecordFile
from finetune_trainer.data.reading.stream import COMPRESSION_NAMES, ReadProgress, no_progress
from finetune_trainer.data.rows.read import RowReader
from finetune_trainer.data.rows.shape import FIRST, Shape, shape_of
from finetune_trainer.failure import StageFailure, invalid
from finetune_trainer.tasks import AnyTask
from finetune_trainer.tasks.explain import Problem
from finetune_trainer.tasks.layouts.forms import Unfit
from finetune_trainer.tasks.rows import Row

NONE_INVALID: npt.NDArray[np.int64] = np.empty(0, np.int64)
TABLES = ("csv", "parquet", "arrow")
AT_ONCE = 500
"""Records that are read at once where they are no lines."""
BYTES_AT_ONCE = 8 << 20
"""The same in bytes, where records are long."""
JUDGED_BYTES = 64 << 20
"""Of the records that a file is judged by, where they are long."""
_FORMATS = {"jsonl": "JSONL", "json": "JSON", "csv": "CSV", "parquet": "Parquet", "arrow": "Arrow"}


@dataclass(frozen=True)
class DatasetFile:
    """A file of rows that can be read again and again."""

    records: RecordFile
    shape: Shape

    @property
    def name(self) -> str:
        """As the user wrote it."""
        return self.records.name

    @property
    def param(self) -> str:
        """The spec field that names it: dataset.train.source."""
        return self.records.param

    @property
    def task(self) -> AnyTask:
        """What the rows are for."""
        return self.shape.task

    @property
    def format(self) -> str:
        """What it was recognised as, for people: "JSONL, OpenAI chat"."""
        packed = f" ({COMPRESSION_NAMES[self.records.compression]})" if self.records.compression else ""
        return f"{_FORMATS[self.records.format]}{packed}, {self.shape.words}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth saying about how the file is read, a sentence each: columns that are ignored."""
        return (*self.records.notes, *(f"{self.name}: {note}" for note in self.shape.notes))

    def column(self, field: str) -> str:
        """What the file calls one of the task's fields."""
        return self.shape.layout.names.get(field, field)

    @classmethod
    def open(
        cls,
        records: RecordFile,
        task: AnyTask,
        *,
        columns: Mapping[str, str] | None = None,
        template: RowTemplate | None = None,
        fields: Sequence[str] = (),
    ) -> "DatasetFile":
        """Recognises what the records look like by the first of them.

        `fields` are further fields that rows may have: those named by split.groupBy and split.stratifyBy. Raises StageFailure
        InvalidDataset for a file of another task, or where a column or a template's field is not there.
        """
        texts = None if template is None else (template.prompt, template.completion)
        try:
            shape = shape_of(
                first_records(records),
                task,
                table=records.format in TABLES,
                header=records.format == "csv",
                columns=columns or {},
                template=texts,
                fields=fields,
            )
        except Unfit as exc:
            raise unfit(records, exc) from exc
        return cls(records, shape)

    def profiled(
        self,
        seed: int,
        *,
        max_invalid_fraction: float = 0,
        group_by: str | None = None,
        stratify_by: str | None = None,
        on_bytes: ReadProgress = no_progress,
        processes: int | None = None,
    ) -> "ProfiledFile":
        """Reads the whole file once and checks every row.

        Raises StageFailure InvalidDataset with the findings when more than `max_invalid_fraction` of the rows are invalid.
        `on_bytes` is called with the bytes of the file that were read so far. `processes`: None for as many as are worth it.
        """
        reader = RowReader(self.shape, [name for name in (group_by, stratify_by) if name is not None])
        whole, damage = self._stats(reader, seed, on_bytes, processes_for(self.records.bytes_total) if processes is None else processes)
        findings = Findings(self.name, self.param, whole.errors)
        if damage and not whole.records:
            raise invalid("InvalidDataset", f"{self.name}: {damage}", param=self.param)
        if damage:
            findings.add("the file ends here", [Problem("unreadable", damage)])
            raise findings.failure(whole.records + 1)
        if findings.rows > max_invalid_fraction * whole.records:
            raise findings.failure(whole.records, max_invalid_fraction)
        return ProfiledFile(self.records, self.shape, profile_of(whole, findings, self.shape.layout, group_by, stratify_by))

    def _stats(self, reader: RowReader, seed: int, on_bytes: ReadProgress, processes: int) -> tuple[ChunkStats, str]:
        """The numbers of all rows, and why the file cannot be read to its end."""
        parts: list[ChunkStats] = []
        try:
            chunks = self.chunks(on_bytes) if processes == 1 else self.byte_ranges(on_bytes)
            for part in in_order(partial(chunk_stats, reader, seed), chunks, processes):
                parts.append(part)  # what was read before the file ends in the middle counts
        except Unreadable as exc:
            return join_stats(parts), str(exc)
        return join_stats(parts), ""

    def byte_ranges(self, progress: ReadProgress = no_progress) -> Iterator[ByteRange | Block | list[Record]]:
        """The same as `chunks`, for other processes."""
        blocks = None if self.records.compression else self.records.blocks(progress)
        return self.chunks(progress) if blocks is None else byte_ranges(self.records.path, blocks)

    def chunks(self, progress: ReadProgress = no_progress) -> Iterator[Block | list[Record]]:
        """The file in chunks. Raises Unreadable, after what was read before it."""
        blocks = self.records.blocks(progress)
        if blocks is not None:
            yield from blocks
            return
        chunk: list[Record] = []
        size = 0
        try:
            for record in self.records.records(progress):
                chunk.append(record)
                size += size_of(record.content)
                if len(chunk) == AT_ONCE or size > BYTES_AT_ONCE:
                    yield chunk
                    chunk, size = [], 0
        except Unreadable:
            if chunk:
                yield chunk
            raise
        if chunk:
            yield chunk

    def rows(self, invalid: npt.NDArray[np.int64] = NONE_INVALID) -> Iterator[tuple[str, Row]]:
        """Where each valid row is ("line 17") and what it says, in order: one for each entry of the profile's hashes.

        `invalid` is the profile's. Raises StageFailure DataChanged.
        """
        reader, passed, left_out = RowReader(self.shape), 0, frozenset(invalid.tolist())
        try:
            for chunk in self.chunks():
                read = reader.read(chunk)
                wrong = {passed + number for number, _, _ in read.wrong}
                if not wrong <= left_out:
                    raise self._changed()
                found = zip(read.where, read.rows, strict=True)
                if left_out:  # also rows that lack a field to split by, which are right otherwise
                    valid = (number for number in range(passed, passed + read.records) if number not in wrong)
                    yield from (row for number, row in zip(valid, found, strict=True) if number not in left_out)
                else:
                    yield from found
                passed += read.records
        except (Unreadable, NotRows) as exc:
            raise self._changed() from exc

    def _changed(self) -> StageFailure:
        says = f"{self.name} changed while it was read: start a new job once it is no longer being written"
        return invalid("DataChanged", says, param=self.param)


@dataclass(frozen=True)
class ProfiledFile(DatasetFile):
    """A file and what one pass over it has found."""

    profile: Profile
    on_share: Callable[[float], None] = lambda share: None
    """Called with the share of the file that was read once more, to compare its rows."""

    def valid_rows(self) -> Iterator[tuple[str, Row]]:
        """Where each valid row is and what it says: one for each entry of the profile's arrays."""
        return self.rows(self.profile.invalid)


def first_records(records: RecordFile) -> list[Record]:
    """Those that a file is judged by; fewer where it cannot be read any further, which the validation pass will report."""
    found: list[Record] = []
    size = 0
    try:
        for record in islice(records.records(), FIRST):
            found.append(record)
            size += size_of(record.content)
            if size > JUDGED_BYTES:
                break
    except Unreadable:
        pass
    return found


def unfit(records: RecordFile, exc: Unfit) -> StageFailure:
    """A file that cannot be read for the task."""
    source = records.param.removesuffix(".source")
    param = {"task": "task", "objective": "method.objective", "source": records.param}.get(exc.field, f"{source}.{exc.field}")
    says = f"{records.name} {exc}" if exc.about_file else f"{records.name}: {source}.{exc}"
    return invalid("InvalidDataset", "; ".join([says, *records.notes]), param=param)
