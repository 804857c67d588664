"""JSONL: a row a line. Cuts a stream into lines, many at a time, without looking into them."""

import io
import re
from collections.abc import Iterator

from finetune_trainer.data.reading.reader import TextReader
from finetune_trainer.data.reading.record import Block, Record
from finetune_trainer.data.reading.slices import beyond
from finetune_trainer.data.reading.stream import ReadProgress, line_blocks, no_progress, open_stream

_BLANK = re.compile(rb"\n(?=[ \t\r\v\f]*\n)")


class Jsonl(TextReader):
    """A FormatReader."""

    def blocks(self, progress: ReadProgress = no_progress) -> Iterator[Block]:
        """The lines whose rows are within the bounds, blank lines among them."""
        with open_stream(self.path, self.compression, progress) as stream:
            blocks = line_blocks(stream, self.limits.row, "JSONL has one object per line", self.limits.block)
            yield from blocks if self.bounds.everything else _within(blocks, self.bounds.start, self.bounds.stop)

    def records(self, progress: ReadProgress = no_progress) -> Iterator[Record]:
        """Blank lines are skipped."""
        for data, first, _ in self.blocks(progress):
            for line, text in enumerate(data.split(b"\n"), first):
                if text and not text.isspace():
                    yield Record(text, line, 0)

    def count(self) -> int:
        return sum(row_count(block.data) for block in self.blocks())


def row_count(data: bytes) -> int:
    """Rows of a block: its lines that are not blank."""
    ends = data if data.endswith(b"\n") else data + b"\n"
    first = ends[: ends.index(b"\n")]
    return ends.count(b"\n") - len(_BLANK.findall(ends)) - (not first or first.isspace())


def _within(blocks: Iterator[Block], start: int, stop: int | None) -> Iterator[Block]:
    """Rows from number `start` (from 0) up to `stop`, which is excluded."""
    seen = 0
    for data, line, offset in blocks:
        if stop is not None and seen >= stop:
            return
        rows = row_count(data)
        first, last = max(start - seen, 0), rows if stop is None else min(stop - seen, rows)
        seen += rows
        if first == 0 and last == rows:
            yield Block(data, line, offset)
        elif first < last:
            begin, end, passed = _cut(data, first, last)
            yield Block(data[begin:end], line + passed, offset + begin)
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
