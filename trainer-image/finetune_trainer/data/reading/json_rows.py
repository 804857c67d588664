"""Rows out of a JSONL file or a JSON array, one at a time, as bytes: nothing here knows what a row must look like."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from finetune_trainer.data.reading.record import Unreadable
from finetune_trainer.data.reading.sniff import UTF8_BOM, Format

MAX_ROW_BYTES = 64 << 20
"""A longer row is a file without line ends, not a conversation."""
BLOCK = 1 << 20

_OUTSIDE = re.compile(rb'["\[\]{},]')
_INSIDE = re.compile(rb'["\\]')


class RawRow(NamedTuple):
    """One row's JSON text."""

    data: bytes
    line: int
    """Line of the file where it begins, from 1."""
    row: int
    """Number of the row in an array, from 1; 0 in JSONL, where the line says it all."""

    @property
    def where(self) -> str:
        """How to find it: "line 17", "row 3 (line 17)"."""
        return f"row {self.row} (line {self.line})" if self.row else f"line {self.line}"


def read_rows(path: Path, fmt: Format) -> Iterator[RawRow]:
    """The rows of a file in order; blank lines are passed over. Raises Unreadable."""
    with open(path, "rb") as file:
        if file.read(len(UTF8_BOM)) != UTF8_BOM:
            file.seek(0)
        yield from array_rows(file) if fmt == "array" else jsonl_rows(file)


def jsonl_rows(file: BinaryIO) -> Iterator[RawRow]:
    """A row a line."""
    line = 0
    while data := file.readline(MAX_ROW_BYTES + 1):
        line += 1
        if len(data) > MAX_ROW_BYTES:
            raise Unreadable(f"line {line} is longer than {MAX_ROW_BYTES >> 20} MiB; JSONL has one object a line")
        if not data.isspace():
            yield RawRow(data, line, 0)


def array_rows(file: BinaryIO) -> Iterator[RawRow]:
    """The elements of a JSON array, found by their brackets and commas, without parsing them."""
    buffer, start, position, line, row = b"", 0, 0, 1, 0
    depth, inside = 0, False
    while block := file.read(BLOCK):
        buffer, position, start = buffer[start:] + block, position - start, 0
        while match := (_INSIDE if inside else _OUTSIDE).search(buffer, position):
            position, char = match.end(), match[0]
            if inside:
                inside = char != b'"'
                position += inside  # what follows a backslash means nothing here
                continue
            if char == b'"':
                inside = True
            elif char in b"[{":
                depth += 1
                if depth == 1:
                    start = position
            elif depth == 1 and char != b"}":
                piece = buffer[start : match.start()]
                if char == b"," or row or piece.strip():
                    row += 1
                    lead = len(piece) - len(piece.lstrip())
                    yield RawRow(piece.strip(), line + piece[:lead].count(b"\n"), row)
                line += piece.count(b"\n")
                start = position
            depth -= char in b"]}"
            if depth == 0:
                if char == b"}":
                    raise Unreadable(f"row {row + 1} (line {line}): a closing brace without an opening one")
                if (buffer[position:] + file.read(BLOCK)).strip():
                    raise Unreadable(f"line {line}: there is more after the array's closing bracket")
                return
        position = max(position, len(buffer))
        if len(buffer) - start > MAX_ROW_BYTES:
            raise Unreadable(f"row {row + 1} (line {line}) is longer than {MAX_ROW_BYTES >> 20} MiB")
    raise Unreadable(f"row {row + 1} (line {line}) is not closed: the file ends within it")
