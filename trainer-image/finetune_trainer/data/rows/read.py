"""Records to rows, many at a time: the plain ones at once, the others one by one. Knows neither files nor findings.

The validation pass and the reading of rows both come here, so they agree on which rows there are.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from finetune_trainer.data.reading.record import Block, Record
from finetune_trainer.data.rows.shape import Shape
from finetune_trainer.tasks.explain import Problem, Wrong
from finetune_trainer.tasks.layouts.context import Context
from finetune_trainer.tasks.plain import PlainSizes
from finetune_trainer.tasks.rows import Row, identity

PIECE = 1 << 19
"""Bytes that are read at once: what becomes of them stays in a core's cache."""
_HALF = Problem("not UTF-8", "has half of a surrogate pair (\\ud800 to \\udfff) in its tools, which is not a valid character: remove it")
_HUGE = Problem("huge number", "has a whole number of more than 64 bits in its tools, or in a field that the split names: write it as text")
FEW = 32
"""Lines that are tried at once where a piece has something that is not plain."""


@dataclass
class ReadRows:
    """Rows of some records, in order. The lists have an entry for each valid row."""

    rows: Iterable[Row] = field(default_factory=list)
    identities: list[bytes] = field(default_factory=list)
    """The same bytes for the same row, in whatever layout."""
    where: "list[str] | Numbered" = field(default_factory=list)
    values: list[tuple[bytes, ...]] = field(default_factory=list)
    """Of the fields that were asked for; empty when none were."""
    turns: PlainSizes | None = None
    """Messages of each conversation, where they are known without the rows."""
    records: int = 0
    """Records that were looked at."""
    wrong: list[tuple[int, str, list[Problem]]] = field(default_factory=list)
    """Number of a record (from 0), where it is, what is wrong."""
    remarks: list[tuple[str, str]] = field(default_factory=list)
    """Where a valid row is, and what is worth a note on it."""


@dataclass(frozen=True)
class Numbered:
    """ "line 17", "line 18", ... made when somebody asks."""

    first: int
    count: int

    def __iter__(self) -> Iterator[str]:
        return (f"line {line}" for line in range(self.first, self.first + self.count))


class RowReader:
    """Reads records of one shape. `fields` are those whose values are wanted besides."""

    def __init__(self, shape: Shape, fields: Sequence[str] = ()) -> None:
        self.shape = shape
        self.fields = tuple(fields)
        self._plain = shape.task.plain(shape.layout) if shape.is_own and not self.fields else None

    def __reduce__(self) -> tuple[type["RowReader"], tuple[Shape, tuple[str, ...]]]:
        """On the way to another process: decoders are made anew there."""
        return RowReader, (self.shape, self.fields)

    def block(self, block: Block) -> Iterator[ReadRows]:
        """The rows of a JSONL block."""
        line, start, data = block.line, 0, block.data
        while start < len(data):
            end = data.find(b"\n", start + PIECE) + 1 or len(data)
            piece = data[start:end]
            read = self._piece(piece, line)
            yield read
            line += read.records if isinstance(read.where, Numbered) else piece.count(b"\n")
            start = end

    def _piece(self, data: bytes, line: int) -> ReadRows:
        found = self._plain.read(data) if self._plain else None
        if found is not None:
            return ReadRows(
                found.rows, found.identities, Numbered(line, len(found.identities)), turns=found.turns, records=len(found.identities)
            )
        texts = data.split(b"\n")
        read = ReadRows()
        for first in range(0, len(texts), FEW):
            self._lines(texts[first : first + FEW], line + first, read)
        return read

    def _lines(self, texts: list[bytes], line: int, read: ReadRows) -> None:
        found = self._plain.read(b"\n".join(texts)) if self._plain and len(texts) > 1 else None
        if found is None:
            self._each((Record(text, number, 0) for number, text in enumerate(texts, line) if text and not text.isspace()), read)
            return
        assert isinstance(read.where, list) and isinstance(read.rows, list)
        read.rows += found.rows
        read.identities += found.identities
        read.where += Numbered(line, len(found.identities))
        read.records += len(found.identities)

    def records(self, records: Sequence[Record]) -> ReadRows:
        """The rows of records."""
        read = ReadRows()
        self._each(iter(records), read)
        return read

    def _each(self, records: Iterator[Record], read: ReadRows) -> None:
        assert isinstance(read.where, list) and isinstance(read.rows, list)
        for record in records:
            number, read.records = read.records, read.records + 1
            context = Context()
            try:
                row, fields = self.shape.read(record, context)
                values = tuple(value_of(fields, row, name) for name in self.fields)
                same = identity(row)
            except Wrong as exc:
                read.wrong.append((number, record.where, exc.problems))
                continue
            except UnicodeEncodeError:
                read.wrong.append((number, record.where, [_HALF]))
                continue
            except OverflowError:
                read.wrong.append((number, record.where, [_HUGE]))
                continue
            read.rows.append(row)
            read.identities.append(same)
            read.where.append(record.where)
            read.remarks += ((record.where, sentence) for sentence in context.remarks)
            if values:
                read.values.append(values)


def value_of(fields: dict[str, Any], row: Row, name: str) -> bytes:
    """The value of a field by which rows are grouped or stratified, as bytes: of the file's field, else of the task's. Raises Wrong."""
    if name in fields:
        value = fields[name]
    elif name in row.__struct_fields__:
        value = getattr(row, name)
    else:
        raise Wrong([Problem("no field to split by", f"has no field {name!r}, which the split names: its fields are {', '.join(fields)}")])
    return _encode(value)


_encode: Callable[[Any], bytes] = msgspec.json.Encoder(order="deterministic", enc_hook=str).encode
