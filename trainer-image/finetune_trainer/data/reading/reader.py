"""What a reader of one file format does, and what readers of text have in common."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self

from finetune_trainer.data.reading.record import LIMITS, Block, Limits, Record
from finetune_trainer.data.reading.slices import EVERYTHING, Bounds
from finetune_trainer.data.reading.stream import ByteStream, Compression, ReadProgress, no_progress, open_stream


class FormatReader(Protocol):
    """Cuts one file into records, again and again. What it yields ends with Unreadable where the file is damaged."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the file is left out, and why."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Of a table: the columns that records have."""

    def within(self, bounds: Bounds) -> Self:
        """The same, for a part of the records."""

    def records(self, progress: ReadProgress = no_progress) -> Iterator[Record]:
        """The records in order."""

    def blocks(self, progress: ReadProgress = no_progress) -> Iterator[Block] | None:
        """The lines of a JSONL file, many at a time; None for other formats."""

    def count(self) -> int:
        """How many records there are, as cheaply as the format allows. Raises Unreadable."""


@dataclass(frozen=True)
class TextReader:
    """A FormatReader of text; `cut` is what differs."""

    path: Path
    compression: Compression
    limits: Limits = LIMITS
    bounds: Bounds = EVERYTHING

    @property
    def notes(self) -> tuple[str, ...]:
        return ()

    @property
    def columns(self) -> tuple[str, ...]:
        return ()

    def within(self, bounds: Bounds) -> Self:
        return replace(self, bounds=bounds)

    def records(self, progress: ReadProgress = no_progress) -> Iterator[Record]:
        return self.bounds.of(self._all(progress))

    def blocks(self, progress: ReadProgress = no_progress) -> Iterator[Block] | None:
        return None

    def count(self) -> int:
        return sum(1 for _ in self.records())

    def cut(self, stream: ByteStream) -> Iterator[Record]:
        """All records of the unpacked file. Raises Unreadable."""
        raise NotImplementedError

    def _all(self, progress: ReadProgress) -> Iterator[Record]:
        with open_stream(self.path, self.compression, progress) as stream:
            yield from self.cut(stream)
