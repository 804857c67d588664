"""Parquet and Arrow files, open: their rows as small Arrow batches, from any row on. Knows nothing of JSON, and of no error's words."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as kind

from finetune_trainer.data.reading.record import Unreadable

ROWS = 256
"""Rows that are read at a time, at most."""
BATCH_BYTES = 8 << 20
"""Where rows are long, as many as have this many bytes on average."""
LONG_TEXT = 256 << 10
"""Bytes of a text from which on ROWS of it are too many to be there at once."""
MAPPED = 64 << 20
"""Bytes of an Arrow file after which its pages are given back."""
_ARROW_FILE = b"ARROW1"


class TableFile(Protocol):
    """An open table."""

    schema: pa.Schema
    rows: int

    def batches(self, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        """Rows `start` (from 0) up to `stop`, which is excluded, a few at a time."""


@contextmanager
def open_table(path: Path, fmt: str) -> Iterator[TableFile]:
    """A Parquet file, or an Arrow file or stream. Raises what pyarrow raises."""
    table = _Parquet(path) if fmt == "parquet" else _Arrow(path)
    try:
        yield table
    finally:
        table.close()


def _at_once(size: int, rows: int) -> int:
    """How many rows make a batch, where `rows` have `size` bytes."""
    return max(1, min(ROWS, BATCH_BYTES * rows // max(size, 1)))


class _Parquet:
    """Read page by page, so that a row group may be larger than the memory."""

    def __init__(self, path: Path) -> None:
        settings: dict[str, Any] = {"buffer_size": 1 << 16, "pre_buffer": False, "memory_map": False}
        self._file = pq.ParquetFile(path, **settings)
        if columns := long_texts(path, self._file.metadata, settings):
            self._file.close()
            self._file = pq.ParquetFile(path, read_dictionary=columns, **settings)
        self.schema, self.rows = self._file.schema_arrow, self._file.metadata.num_rows

    def batches(self, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        """Row groups outside are not read."""
        passed, groups, size = 0, [], 0
        for index in range(self._file.metadata.num_row_groups):
            group = self._file.metadata.row_group(index)
            if passed + group.num_rows <= start:
                start, stop = start - group.num_rows, stop - group.num_rows
            elif passed < stop:
                groups.append(index)
                passed, size = passed + group.num_rows, size + group.total_byte_size
        row = 0
        for batch in self._file.iter_batches(_at_once(size, passed), row_groups=groups, use_threads=False):
            if row >= stop:
                return
            if row + len(batch) > start:
                first = max(start - row, 0)
                yield batch.slice(first, min(stop - row, len(batch)) - first)
            row += len(batch)

    def close(self) -> None:
        self._file.close()


def long_texts(path: Path, metadata: pq.FileMetaData, settings: dict[str, Any]) -> list[str]:
    """Columns with long texts that are written once and referred to by number: read so, too, or each would be there for every row."""
    leaves = (metadata.schema.column(index) for index in range(len(metadata.schema.names)))
    texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
    groups = [index for index in range(metadata.num_row_groups) if metadata.row_group(index).total_byte_size > LONG_TEXT]
    if not texts or not groups:
        return []
    with pq.ParquetFile(path, metadata=metadata, read_dictionary=texts, **settings) as file:
        for index in groups:  # of each the first row, with the dictionaries of the whole group
            batch = next(file.iter_batches(1, row_groups=[index], columns=texts, use_threads=False), None)
            if batch is not None:
                batch.validate(full=True)  # a damaged file's offsets point anywhere
                if max(map(longest, batch.columns), default=0) > LONG_TEXT:
                    return texts
    return []


def longest(array: pa.Array) -> int:
    """Bytes of the longest text in the dictionaries of an array."""
    if kind.is_struct(array.type):
        return max((longest(array.field(index)) for index in range(array.type.num_fields)), default=0)
    if kind.is_list(array.type) or kind.is_large_list(array.type) or kind.is_map(array.type):
        return longest(array.values)
    return (pc.max(pc.binary_length(array.dictionary)).as_py() or 0) if kind.is_dictionary(array.type) else 0


class _Arrow:
    """Mapped, so that a batch may be larger than the memory."""

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
        if passed + len(batch) > start:
            size = batch.get_total_buffer_size()
            step = _at_once(size, len(batch))
            for first in range(max(start - passed, 0), min(stop - passed, len(batch)), step):
                small = batch.slice(first, min(step, stop - passed - first))
                yield small
                read += size * len(small) // len(batch)
                if read > MAPPED:
                    return
        passed += len(batch)
        if passed >= stop:
            return
    raise Unreadable(f"the table has {passed:,} rows where {stop:,} were found before: was it modified?")
