"""The bytes of a file as they were before .gz or .zst, and its lines, in a bounded memory. Knows no format."""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from finetune_trainer.data.reading.record import BLOCK, Block, Unreadable

Compression = Literal["", "gzip", "zstd"]
ReadProgress = Callable[[int], None]
"""Called now and then with the bytes of the file (as it lies on disk) that were read so far."""

_LINE_END = 10
UTF8_BOM = b"\xef\xbb\xbf"
GZIP_MAGIC, ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
COMPRESSION_NAMES: dict[Compression, str] = {"": "plain", "gzip": "gzip", "zstd": "zstd"}


class ByteStream(Protocol):
    """What readers need of a stream."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; fewer at the end only."""


def no_progress(read: int) -> None:
    """For who does not want to know."""


def compression_of(path: Path) -> Compression:
    """How a file is compressed, judged by its first bytes."""
    with open(path, "rb") as file:
        head = file.read(4)
    return "gzip" if head.startswith(GZIP_MAGIC) else "zstd" if head == ZSTD_MAGIC else ""


@contextmanager
def open_stream(path: Path, compression: Compression, progress: ReadProgress = no_progress) -> Iterator[ByteStream]:
    """The unpacked bytes; reading raises Unreadable where the compressed data are cut off or damaged."""
    with open(path, "rb", buffering=BLOCK if compression else 0) as file:
        yield _Stream(file, _unpacked(file, compression), compression, progress)


def _unpacked(file: io.BufferedIOBase | Any, compression: Compression) -> Any:
    if compression == "gzip":
        return gzip.GzipFile(fileobj=file, mode="rb")
    if compression == "zstd":
        import pyarrow as pa  # 50 ms that a plain file does not pay for

        return pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd")
    return file


class _Stream:
    """Reads, reports the progress, and explains what is wrong with a damaged file."""

    def __init__(self, file: Any, unpacked: Any, compression: Compression, progress: ReadProgress) -> None:
        self._file, self._unpacked, self._compression, self._progress = file, unpacked, compression, progress
        self._bytes = 0

    def read(self, size: int, /) -> bytes:
        try:
            data: bytes = self._unpacked.read(size)
        except (EOFError, OSError, zlib.error) as exc:
            if not self._compression or (isinstance(exc, OSError) and exc.errno):
                raise  # the disk's fault, not the file's
            raise Unreadable(damage(exc, self._compression, self._bytes)) from exc
        self._bytes += len(data)
        self._progress(self._file.tell())
        return data


def damage(exc: Exception, compression: Compression, good: int) -> str:
    """Words for compressed data that end too early or do not add up."""
    cut = isinstance(exc, EOFError) or "Truncated" in str(exc)
    what = "ends too early: it was not written or copied in full" if cut else f"is damaged ({exc})"
    return f"the {compression} data {what}; about {good:,} bytes could be unpacked before that: copy or compress the file again"


def line_blocks(stream: ByteStream, limit: int, hint: str, block: int) -> Iterator[Block]:
    """Whole lines, about `block` bytes at a time so that nothing is done per line, without the byte order mark.

    Raises Unreadable for a line longer than `limit` bytes, `hint` saying what is odd.
    """
    line, waiting = 1, 0
    parts: list[bytes] = []
    first = stream.read(block)
    chunk = first.removeprefix(UTF8_BOM)
    offset = len(first) - len(chunk)
    while chunk:
        cut = chunk.rfind(b"\n") + 1
        if waiting + (chunk.find(b"\n") if cut else len(chunk)) > limit:
            raise Unreadable(f"line {line} is longer than {limit >> 20} MiB: {hint}")
        if cut:
            data = b"".join((*parts, memoryview(chunk)[:cut]))
            yield Block(data, line, offset)
            line += lines_in(data)
            offset += len(data)
            parts, waiting = [], 0
        parts.append(chunk[cut:])
        waiting += len(chunk) - cut
        chunk = stream.read(block)
    if waiting:
        yield Block(b"".join(parts), line, offset)


def lines_in(data: bytes) -> int:
    """Line ends of a text."""
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == _LINE_END))  # half the time of bytes.count
