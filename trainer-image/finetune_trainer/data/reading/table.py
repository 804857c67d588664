"""The rows of a Parquet or Arrow file as records. Knows which columns JSON can say, and the words for a damaged file."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from finetune_trainer.data.reading.columns import NOT_UTF8, NoJson, json_values
from finetune_trainer.data.reading.record import LIMITS, Block, Fault, Limits, NotRows, Record, Unreadable, size_of
from finetune_trainer.data.reading.slices import EVERYTHING, Bounds, beyond
from finetune_trainer.data.reading.stream import ReadProgress, no_progress
from finetune_trainer.data.reading.table_file import open_table

Names = dict[str, tuple[str, ...]]
_LOOKED_AT = 64
_CLASSES = 5
_FAULTS = (pa.ArrowException, OSError, ValueError, KeyError, IndexError, OverflowError, MemoryError, RecursionError, TypeError)
"""What pyarrow raises for a damaged file."""


@dataclass(frozen=True)
class Table:
    """A FormatReader of a Parquet or Arrow file that is not compressed as a whole."""

    path: Path
    format: str
    rows: int
    """Of the whole file."""
    columns: tuple[str, ...]
    """Those that can be read."""
    notes: tuple[str, ...]
    """Which columns are ignored, and why; which hold class ids that have names."""
    size: int
    """Bytes of the file that the user gave, which progress counts up to."""
    limits: Limits = LIMITS
    bounds: Bounds = EVERYTHING

    def within(self, bounds: Bounds) -> "Table":
        return replace(self, bounds=bounds)

    def blocks(self, progress: ReadProgress = no_progress) -> Iterator[Block] | None:
        return None

    def count(self) -> int:
        return self.bounds.length(self.rows)

    def records(self, progress: ReadProgress = no_progress) -> Iterator[Record]:
        """The rows as dicts."""
        with _faults(self.format, Unreadable, "this is"), open_table(self.path, self.format) as table:
            total = table.rows
            classes = {name: names for name, names in class_names(table.schema).items() if name in self.columns}
            start, stop = self.bounds.start, self.bounds.stop
            if start and start >= total:
                raise beyond(start, total)
            row = start
            for batch in table.batches(start, total if stop is None else min(stop, total)):
                for content, fault in _rows(batch.select(self.columns)):
                    row += 1
                    if size_of(content) > self.limits.row:
                        says = f"is longer than {self.limits.row >> 20} MiB: no model reads so much at once"
                        content, fault = {}, Fault("row too long", says)
                    yield Record(_with_names(content, classes) if classes else content, 0, row, fault)
                progress(self.size * row // max(total, 1))


def open_reader(path: Path, fmt: str, size: int, limits: Limits) -> Table:
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
        return Table(path, fmt, table.rows, columns, tuple(notes), size, limits)


def _no_json(batch: pa.RecordBatch, name: str) -> str:
    """Why a column cannot be read, by its first rows; text that is damaged in some rows is not a matter of the column."""
    try:
        json_values(batch.column(name))
    except NoJson as exc:
        return "" if str(exc) == NOT_UTF8 else str(exc)
    return ""


def _with_names(content: dict[str, Any], classes: Names) -> dict[str, Any]:
    """With names of classes instead of their ids."""
    return content | {name: named(content[name], names) for name, names in classes.items() if name in content}


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[dict[str, Any], Fault | None]]:
    """Each row, or what is wrong with it."""
    names = batch.schema.names
    try:
        columns = [json_values(column) for column in batch.columns]
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
            json_values(batch.column(name))
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


def class_names(schema: pa.Schema) -> Names:
    """Column -> the names of its classes 0, 1, ..., as the library datasets writes them into a schema; only columns that have them."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return {name: names for name in schema.names if (names := _class_names(features.get(name)))}
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        return {}  # metadata of another program, which the rows do not depend on


def _class_names(feature: Any) -> tuple[str, ...]:
    """Of a class, or of a list of classes."""
    if isinstance(feature, list) and len(feature) == 1:
        return _class_names(feature[0])
    if not isinstance(feature, dict):
        return ()
    names = feature.get("names")
    if feature.get("_type") != "ClassLabel":
        return _class_names(feature.get("feature"))
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        return ()
    return tuple(names) if len({*names}) == len(names) else ()


def named(value: Any, names: tuple[str, ...]) -> Any:
    """A number's class, or each of a list; None for -1, which says that the class is unknown."""
    if isinstance(value, list):
        return [named(item, names) for item in value]
    if type(value) is not int or not -1 <= value < len(names):
        return value
    return None if value == -1 else names[value]
