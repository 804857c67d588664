"""Parquet and Arrow files: their rows, few at a time. Knows how to find and to read them, not what they mean."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from finetune_trainer.data.reading.columns import NOT_UTF8, NoJson, plain
from finetune_trainer.data.reading.record import Fault, NotRows, Record, Unreadable
from finetune_trainer.data.reading.slices import Bounds, beyond

ROWS = 256
"""Rows that are read at a time."""
MAPPED = 64 << 20
"""Bytes of an Arrow file after which its pages are given back."""
_LOOKED_AT = 64
_ARROW_FILE = b"ARROW1"
_FAULTS = (pa.ArrowException, OSError, ValueError, KeyError, IndexError, OverflowError, MemoryError, RecursionError, TypeError)
"""What pyarrow raises for a damaged file."""


@dataclass(frozen=True)
class Shape:
    """What a table is like."""

    rows: int
    columns: tuple[str, ...]
    """Those that can be read."""
    notes: tuple[str, ...]
    """Which columns are left out, and why."""


def shape_of(path: Path, fmt: str) -> Shape:
    """Looks at the schema and the first rows. Raises NotRows for a table that cannot be read."""
    with _faults(fmt, NotRows, "is"), _open(path, fmt) as table:
        names: list[str] = table.schema.names
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise NotRows(f"has two columns {twice!r}: rename one")
        first = next(table.batches(0, min(_LOOKED_AT, table.rows)), None)
        left_out = {} if first is None else {name: why for name in names if (why := _no_json(first, name))}
        columns = tuple(name for name in names if name not in left_out)
        if not columns:
            raise NotRows(f"has no column that can be read: {'; '.join(map(' '.join, left_out.items())) or 'it has none at all'}")
        return Shape(table.rows, columns, tuple(f"column {name!r} is left out: it {why}" for name, why in left_out.items()))


def _no_json(batch: pa.RecordBatch, name: str) -> str:
    """Why a column cannot be read, by its first rows; text that is damaged in some rows is not a matter of the column."""
    try:
        plain(batch.column(name))
    except NoJson as exc:
        return "" if str(exc) == NOT_UTF8 else str(exc)
    return ""


def table_records(path: Path, fmt: str, columns: tuple[str, ...], bounds: Bounds, on_row: Callable[[int, int], None]) -> Iterator[Record]:
    """The rows of a table, as dicts; `on_row` is told how many of how many are read. Raises Unreadable."""
    with _faults(fmt, Unreadable, "this is"), _open(path, fmt) as table:
        total = table.rows
        if bounds.start and bounds.start >= total:
            raise beyond(bounds.start, total)
        row = bounds.start
        for batch in table.batches(bounds.start, total if bounds.stop is None else min(bounds.stop, total)):
            for content, fault in _rows(batch.select(columns)):
                row += 1
                yield Record(content, 0, row, fault)
            on_row(row, total)


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[dict[str, Any], Fault | None]]:
    """Each row, or what is wrong with it."""
    names = batch.schema.names
    try:
        columns = [plain(column) for column in batch.columns]
    except NoJson as exc:
        if len(batch) == 1:
            yield {}, Fault("not readable", _culprit(batch) or str(exc))
            return
        for index in range(len(batch)):
            yield from _rows(batch.slice(index, 1))
        return
    for values in zip(*columns, strict=True):
        yield dict(zip(names, values, strict=True)), None


def _culprit(batch: pa.RecordBatch) -> str:
    for name in batch.schema.names:
        try:
            plain(batch.column(name))
        except NoJson as exc:
            return f"column {name!r} {exc}"
    return ""


class _Table(Protocol):
    """An open table."""

    schema: pa.Schema
    rows: int

    def batches(self, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        """Rows `start` (from 0) up to `stop`, which is excluded, at most ROWS at a time."""


class _Parquet:
    def __init__(self, path: Path) -> None:
        self._file = pq.ParquetFile(path, buffer_size=1 << 16, pre_buffer=False, memory_map=False)
        self.schema, self.rows = self._file.schema_arrow, self._file.metadata.num_rows

    def batches(self, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        """Row groups before `start` are not read."""
        metadata, passed, groups = self._file.metadata, 0, []
        for index in range(metadata.num_row_groups):
            size = metadata.row_group(index).num_rows
            if passed + size <= start:
                start, stop = start - size, stop - size
            elif passed < stop:
                groups.append(index)
                passed += size
        row = 0
        for batch in self._file.iter_batches(ROWS, row_groups=groups, use_threads=False):
            if row >= stop:
                return
            if row + len(batch) > start:
                first = max(start - row, 0)
                yield batch.slice(first, min(stop - row, len(batch)) - first)
            row += len(batch)

    def close(self) -> None:
        self._file.close()


class _Arrow:
    """The file and the stream format. Mapped, so that one batch may be larger than the memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._reader() as reader:
            self.schema = reader.schema
            self.rows = sum(len(batch) for batch in _each(reader))

    def batches(self, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        """Opens the file anew now and then: that alone gives back the pages that were read."""
        row = start
        while row < stop:
            with self._reader() as reader:
                for batch in _window(reader, row, stop):
                    yield batch
                    row += len(batch)

    @contextmanager
    def _reader(self) -> Iterator[Any]:
        with pa.memory_map(str(self._path)) as file:
            start = file.read(len(_ARROW_FILE))
            file.seek(0)
            yield pa.ipc.open_file(file) if start == _ARROW_FILE else pa.ipc.open_stream(file)

    def close(self) -> None:
        """Nothing is held between two readings."""


def _each(reader: Any) -> Iterator[pa.RecordBatch]:
    """The batches of a file or of a stream."""
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        return (reader.get_batch(index) for index in range(reader.num_record_batches))
    return iter(reader)


def _window(reader: Any, start: int, stop: int) -> Iterator[pa.RecordBatch]:
    """Small batches from row `start` on, until about MAPPED bytes are read; never none when there is a row."""
    passed, read = 0, 0
    for batch in _each(reader):
        for first in range(max(start - passed, 0), min(stop - passed, len(batch)), ROWS):
            small = batch.slice(first, min(ROWS, stop - passed - first))
            yield small
            read += small.get_total_buffer_size() // max(len(batch), 1) * len(small)
            if read > MAPPED:
                return
        passed += len(batch)
        if passed >= stop:
            return
    if passed < stop:
        raise Unreadable(f"the table has {passed:,} rows where {stop:,} were found before: did somebody write to it?")


@contextmanager
def _open(path: Path, fmt: str) -> Iterator[_Table]:
    table = _Parquet(path) if fmt == "parquet" else _Arrow(path)
    try:
        yield table
    finally:
        table.close()


@contextmanager
def _faults(fmt: str, error: type[Exception], verb: str) -> Iterator[None]:
    """Turns what pyarrow raises into words."""
    try:
        yield
    except _FAULTS as exc:
        if isinstance(exc, OSError) and exc.errno and exc.filename:
            raise  # the disk's fault, not the file's
        name = {"parquet": "a Parquet file", "arrow": "an Arrow file"}[fmt]
        says = str(exc).split("\n")[0][:200]
        if "encrypt" in says.lower() or "decrypt" in says.lower():
            raise error(f"{verb} {name} that is encrypted: write it without encryption") from exc
        raise error(f"{verb} {name} that is cut off or damaged ({says}): write or copy it again") from exc
