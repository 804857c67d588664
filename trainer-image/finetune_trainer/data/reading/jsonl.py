"""JSONL: a row a line. Cuts a stream into lines, many at a time, without looking into them."""

import io
import re
from collections.abc import Iterator

from finetune_trainer.data.reading import record
from finetune_trainer.data.reading.lines import line_blocks
from finetune_trainer.data.reading.record import Block, Record
from finetune_trainer.data.reading.slices import Bounds, beyond
from finetune_trainer.data.reading.stream import ByteStream

_BLANK = re.compile(rb"\n(?=[ \t\r\v\f]*\n)")


def jsonl_blocks(stream: ByteStream, bounds: Bounds) -> Iterator[Block]:
    """The lines whose rows are within the bounds, blank lines among them. Raises Unreadable."""
    blocks = line_blocks(stream, record.MAX_ROW_BYTES, "JSONL has one object per line")
    return blocks if bounds.everything else _within(blocks, bounds.start, bounds.stop)


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


def _within(blocks: Iterator[Block], start: int, stop: int | None) -> Iterator[Block]:
    """Rows from number `start` (from 0) up to `stop`, which is excluded."""
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
