"""The rows of a Parquet or Arrow file as records. Knows which columns JSON can say, and the words for a damaged file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from finetune_trainer.data.reading.class_names import Names, class_names, named
from finetune_trainer.data.reading.columns import NOT_UTF8, NoJson, plain
from finetune_trainer.data.reading.record import MAX_ROW_BYTES, Fault, NotRows, Record, Unreadable, size_of
from finetune_trainer.data.reading.slices import Bounds, beyond
from finetune_trainer.data.reading.table_file import open_table

_LOOKED_AT = 64
_CLASSES = 5
_FAULTS = (pa.ArrowException, OSError, ValueError, KeyError, IndexError, OverflowError, MemoryError, RecursionError, TypeError)
"""What pyarrow raises for a damaged file."""


@dataclass(frozen=True)
class Shape:
    """What a table is like."""

    rows: int
    columns: tuple[str, ...]
    """Those that can be read."""
    notes: tuple[str, ...]
    """Which columns are left out, and why; whose numbers are told by name."""


def shape_of(path: Path, fmt: str) -> Shape:
    """Looks at the schema and the first rows. Raises NotRows for a table that cannot be read."""
    with _faults(fmt, NotRows, "is"), open_table(path, fmt) as table:
        names: list[str] = table.schema.names
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise NotRows(f"has two columns {twice!r}: rename one")
        first = next(table.batches(0, min(_LOOKED_AT, table.rows)), None)
        left_out = {} if first is None else {name: why for name in names if (why := _no_json(first, name))}
        columns = tuple(name for name in names if name not in left_out)
        if not columns:
            raise NotRows(f"has no column that can be read: {'; '.join(map(' '.join, left_out.items())) or 'it has none at all'}")
        notes = [f"column {name!r} is ignored: it {why}" for name, why in left_out.items()]
        for name, classes in class_names(table.schema).items():
            if name in columns:
                few = ", ".join(map(repr, classes[:_CLASSES])) + (", ..." if len(classes) > _CLASSES else "")
                notes.append(f"column {name!r} holds class ids; using the file's ClassLabel names: {few}")
        return Shape(table.rows, columns, tuple(notes))


def _no_json(batch: pa.RecordBatch, name: str) -> str:
    """Why a column cannot be read, by its first rows; text that is damaged in some rows is not a matter of the column."""
    try:
        plain(batch.column(name))
    except NoJson as exc:
        return "" if str(exc) == NOT_UTF8 else str(exc)
    return ""


def table_records(path: Path, fmt: str, columns: tuple[str, ...], bounds: Bounds, on_row: Callable[[int, int], None]) -> Iterator[Record]:
    """The rows of a table, as dicts; `on_row` is told how many of how many are read. Raises Unreadable."""
    with _faults(fmt, Unreadable, "this is"), open_table(path, fmt) as table:
        total, classes = table.rows, {name: names for name, names in class_names(table.schema).items() if name in columns}
        if bounds.start and bounds.start >= total:
            raise beyond(bounds.start, total)
        row = bounds.start
        for batch in table.batches(bounds.start, total if bounds.stop is None else min(bounds.stop, total)):
            for content, fault in _rows(batch.select(columns)):
                row += 1
                if size_of(content) > MAX_ROW_BYTES:
                    content, fault = {}, Fault("row too long", f"is longer than {MAX_ROW_BYTES >> 20} MiB: no model reads so much at once")
                yield Record(_told(content, classes) if classes else content, 0, row, fault)
            on_row(row, total)


def _told(content: dict[str, Any], classes: Names) -> dict[str, Any]:
    """With names of classes instead of numbers."""
    return content | {name: named(content[name], names) for name, names in classes.items() if name in content}


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
