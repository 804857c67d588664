"""The lines of a text file, about 1 MiB at a time, so that nothing is done per line. Knows no format."""

from collections.abc import Iterator

import numpy as np

from finetune_trainer.data.reading import record
from finetune_trainer.data.reading.record import Block, Unreadable
from finetune_trainer.data.reading.stream import ByteStream

_LINE_END = 10
UTF8_BOM = b"\xef\xbb\xbf"


def line_blocks(stream: ByteStream, limit: int, hint: str) -> Iterator[Block]:
    """Whole lines, without the byte order mark. Raises Unreadable for a line longer than `limit` bytes, `hint` saying what is odd."""
    line, waiting = 1, 0
    parts: list[bytes] = []
    chunk = stream.read(record.BLOCK).removeprefix(UTF8_BOM)
    while chunk:
        cut = chunk.rfind(b"\n") + 1
        if waiting + (chunk.find(b"\n") if cut else len(chunk)) > limit:
            raise Unreadable(f"line {line} is longer than {limit >> 20} MiB: {hint}")
        if cut:
            data = b"".join((*parts, chunk[:cut]))
            yield Block(data, line)
            line += int(np.count_nonzero(np.frombuffer(data, np.uint8) == _LINE_END))  # half the time of bytes.count
            parts, waiting = [], 0
        parts.append(chunk[cut:])
        waiting += len(chunk) - cut
        chunk = stream.read(record.BLOCK)
    if waiting:
        yield Block(b"".join(parts), line)
