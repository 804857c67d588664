"""JSONL: a row a line. Cuts a stream into lines, many at a time, without looking into them."""

import io
import re
from collections.abc import Iterator

from finetune_trainer.data.reading.record import BLOCK, MAX_ROW_BYTES, Block, Record, Unreadable
from finetune_trainer.data.reading.slices import beyond
from finetune_trainer.data.reading.stream import ByteStream

UTF8_BOM = b"\xef\xbb\xbf"
_BLANK = re.compile(rb"\n(?=[ \t\r\v\f]*\n)")


def jsonl_blocks(stream: ByteStream) -> Iterator[Block]:
    """The lines of a stream, about 1 MiB at a time. Raises Unreadable for a line without end."""
    line, waiting = 1, 0
    parts: list[bytes] = []
    chunk = stream.read(BLOCK).removeprefix(UTF8_BOM)
    while chunk:
        cut = chunk.rfind(b"\n") + 1
        if cut:
            data = b"".join((*parts, chunk[:cut])) if parts else chunk[:cut]
            _refuse_endless(data, line)
            yield Block(data, line)
            line += data.count(b"\n")
            parts, waiting = [], 0
        parts.append(chunk[cut:])
        waiting += len(chunk) - cut
        if waiting > MAX_ROW_BYTES:
            raise _endless(line)
        chunk = stream.read(BLOCK)
    if waiting:
        yield Block(b"".join(parts), line)


def jsonl_records(blocks: Iterator[Block]) -> Iterator[Record]:
    """The rows of a file; blank lines are passed over."""
    for data, first in blocks:
        for line, text in enumerate(data.split(b"\n"), first):
            if text and not text.isspace():
                yield Record(text, line, 0)


def row_count(data: bytes) -> int:
    """Rows of a block: its lines that are not blank."""
    ends = data if data.endswith(b"\n") else data + b"\n"
    first = ends[: ends.index(b"\n")]
    return ends.count(b"\n") - len(_BLANK.findall(ends)) - (not first or first.isspace())


def sliced(blocks: Iterator[Block], start: int, stop: int | None) -> Iterator[Block]:
    """The blocks' rows from number `start` (from 0) up to `stop`, which is excluded."""
    seen = 0
    for data, line in blocks:
        if stop is not None and seen >= stop:
            return
        rows = row_count(data)
        first, last = max(start - seen, 0), rows if stop is None else min(stop - seen, rows)
        seen += rows
        if first == 0 and last == rows:
            yield Block(data, line)
        elif first < last:
            begin, end, passed = _cut(data, first, last)
            yield Block(data[begin:end], line + passed)
    if start and seen <= start:
        raise beyond(start, seen)


def _cut(data: bytes, first: int, last: int) -> tuple[int, int, int]:
    """Where rows `first` to `last` of a block begin and end, and the lines before them."""
    row, position, begin, passed = 0, 0, 0, 0
    for number, text in enumerate(io.BytesIO(data)):
        if not text.isspace():
            if row == first:
                begin, passed = position, number
            row += 1
        position += len(text)
        if row == last:
            break
    return begin, position, passed


def _refuse_endless(data: bytes, line: int) -> None:
    if len(data) > MAX_ROW_BYTES and data.index(b"\n") > MAX_ROW_BYTES:
        raise _endless(line)


def _endless(line: int) -> Unreadable:
    return Unreadable(f"line {line} is longer than {MAX_ROW_BYTES >> 20} MiB; JSONL has one object a line")
