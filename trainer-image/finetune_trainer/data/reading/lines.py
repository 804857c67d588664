"""The lines of a text file, about 1 MiB at a time, so that nothing is done per line. Knows no format."""

from collections.abc import Iterator

from finetune_trainer.data.reading import record
from finetune_trainer.data.reading.record import Block, Unreadable
from finetune_trainer.data.reading.stream import ByteStream

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
            line += data.count(b"\n")
            parts, waiting = [], 0
        parts.append(chunk[cut:])
        waiting += len(chunk) - cut
        chunk = stream.read(record.BLOCK)
    if waiting:
        yield Block(b"".join(parts), line)
