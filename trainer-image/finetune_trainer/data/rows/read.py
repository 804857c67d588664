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
from finetune_trainer.tasks.plain import Found, PlainSizes
from finetune_trainer.tasks.rows import Identities, Row, identity

_HALF = Problem("not UTF-8", "has half of a surrogate pair (\\ud800 to \\udfff) in its tools, which is not a valid character: remove it")
_HUGE = Problem("huge number", "has a whole number of more than 64 bits in its tools, or in a field that the split names: write it as text")
PARTS = 8
"""Into how many parts lines are divided where some of them are not plain."""
FEW = 32
"""Lines that are tried at once, at least; where these are not plain either, each is read by itself."""


@dataclass
class ReadRows:
    """Rows of some records, in order. The lists have an entry for each valid row."""

    rows: Iterable[Row] = field(default_factory=list)
    identities: list[bytes] | Identities = field(default_factory=list)
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

    def read(self, chunk: Block | Sequence[Record]) -> ReadRows:
        """The rows of a chunk of a file."""
        return self._block(chunk.data, chunk.line) if isinstance(chunk, Block) else self._records(chunk)

    def _block(self, data: bytes, line: int) -> ReadRows:
        found = self._plain.read(data) if self._plain else None
        if found is not None:
            return ReadRows(
                found.rows, found.identities, Numbered(line, len(found.identities)), turns=found.turns, records=len(found.identities)
            )
        read = ReadRows()
        self._lines(data.split(b"\n"), line, read)
        return read

    def _lines(self, texts: list[bytes], line: int, read: ReadRows) -> None:
        """Lines that are not all plain: fewer at once, down to FEW of them, then one by one."""
        at_once = max(FEW, len(texts) // PARTS)
        for first in range(0, len(texts), at_once):
            some, start = texts[first : first + at_once], line + first
            found = self._plain.read(b"\n".join(some)) if self._plain and len(some) > 1 else None
            if found is not None:
                self._add(found, start, read)
            elif self._plain and len(some) > FEW:
                self._lines(some, start, read)
            else:
                self._each((Record(text, number, 0) for number, text in enumerate(some, start) if text and not text.isspace()), read)

    def _add(self, found: Found, line: int, read: ReadRows) -> None:
        assert isinstance(read.where, list) and isinstance(read.rows, list) and isinstance(read.identities, list)
        read.rows += found.rows
        read.identities += found.identities
        read.where += Numbered(line, len(found.identities))
        read.records += len(found.identities)

    def _records(self, records: Sequence[Record]) -> ReadRows:
        read = ReadRows()
        self._each(iter(records), read)
        return read

    def _each(self, records: Iterator[Record], read: ReadRows) -> None:
        assert isinstance(read.where, list) and isinstance(read.rows, list) and isinstance(read.identities, list)
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
