"""Many lines of a file by their place, for a process that reads them itself: that is less work than to be sent them."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from finetune_trainer.data.reading.record import BLOCK, Block, Unreadable
from finetune_trainer.data.reading.stream import lines_in

RANGE = 4 << 20
"""Bytes of a range, about: enough to make the passing of one cheap, little enough to keep all processes busy to the end."""


class ByteRange(NamedTuple):
    """Whole lines of a file that is not compressed."""

    path: Path
    offset: int
    size: int
    """In bytes."""
    line: int
    """Number of its first line, from 1."""

    def blocks(self, block: int = BLOCK) -> Iterator[Block]:
        """The lines, about `block` bytes at a time."""
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            data = file.read(self.size)
        line, start = self.line, 0
        while start < len(data):
            end = data.rfind(b"\n", start, start + block) + 1 or data.find(b"\n", start) + 1 or len(data)
            lines = data[start:end]
            yield Block(lines, line, self.offset + start)
            line += lines_in(lines)
            start = end


def byte_ranges(path: Path, blocks: Iterable[Block], most: int = RANGE) -> Iterator[ByteRange]:
    """Blocks of `path` in order, about `most` bytes together unless something lies between. Raises Unreadable where they do."""
    start, end, line = 0, 0, 0
    try:
        for data, first, offset in blocks:
            if start < end < offset or end - start >= most:
                yield ByteRange(path, start, end - start, line)
                start = end
            if start == end:
                start, line = offset, first
            end = offset + len(data)
    except Unreadable:
        if start < end:
            yield ByteRange(path, start, end - start, line)
        raise
    if start < end:
        yield ByteRange(path, start, end - start, line)
