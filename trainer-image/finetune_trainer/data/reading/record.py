"""What a file is cut into: records, and whole lines many at a time. Knows no format and no task."""

from dataclasses import dataclass
from typing import Any, NamedTuple

BLOCK = 1 << 18
"""Bytes that are read at a time: what becomes of them stays in a core's cache."""


@dataclass(frozen=True)
class Limits:
    """Of the reading of a file, in bytes."""

    block: int = BLOCK
    row: int = 64 << 20
    """A longer row is a file without line ends, not an example."""


LIMITS = Limits()


class Fault(NamedTuple):
    """What is wrong with a record before anybody asks what it means."""

    kind: str
    """What is counted: "wrong number of cells"."""
    text: str
    """Goes on after the record's place: "has 3 cells, and the header line names 2 (...)"."""


class Record(NamedTuple):
    """One record of a file."""

    content: bytes | dict[str, Any]
    """JSON text, or the columns of a table's row in JSON's types; what is null in a nested struct has no key there."""
    line: int
    """Line of the file where it begins, from 1; 0 where the format has no lines."""
    row: int
    """Number of the record in the file, from 1; 0 in JSONL, where the line says it all."""
    fault: Fault | None = None
    """What is wrong with the record as such (a cell too many); its content is then {}."""

    @property
    def where(self) -> str:
        """How to find it: "line 17", "row 3 (line 17)", "row 3"."""
        if not self.row:
            return f"line {self.line}"
        return f"row {self.row} (line {self.line})" if self.line else f"row {self.row}"


def size_of(value: Any) -> int:
    """Bytes of a record's content, or about as many: characters of texts, and some for every other value."""
    if isinstance(value, bytes | str):
        return len(value) + _SMALL
    if isinstance(value, dict):
        return sum(map(size_of, value.values())) + sum(map(len, value)) + _SMALL
    return sum(map(size_of, value)) + _SMALL if isinstance(value, list) else _SMALL


_SMALL = 8


class Block(NamedTuple):
    """Lines of a JSONL file."""

    data: bytes
    """Whole lines, about BLOCK bytes, without a byte order mark; blank lines are among them."""
    line: int
    """Number of its first line, from 1."""
    offset: int
    """Bytes of the unpacked file before it."""


class Unreadable(Exception):
    """The file cannot be cut into records from here on; the text says where and why."""


class NotRows(Exception):
    """The file holds no rows at all; the text goes on after the file's name: "is empty"."""
