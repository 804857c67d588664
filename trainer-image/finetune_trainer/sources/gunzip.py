"""Unpacks what a web server has packed for the way (Content-Encoding: gzip)."""

import zlib
from collections.abc import Iterator

PIECE = 1 << 20
"""Bytes, at most, that come out at a time, however well they were packed."""


class Gunzip:
    """A stream of one gzip member, or of several one after another."""

    def __init__(self) -> None:
        self.stream = zlib.decompressobj(31)
        self.started = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The bytes that are in these; raises zlib.error for what is no gzip."""
        while data:
            if self.stream.eof:
                self.stream = zlib.decompressobj(31)
            self.started = True
            piece = self.stream.decompress(data, PIECE)
            if piece:
                yield piece
            data = self.stream.unconsumed_tail or self.stream.unused_data

    @property
    def finished(self) -> bool:
        """True at the end of a member; False where the stream was cut off."""
        return self.stream.eof or not self.started
