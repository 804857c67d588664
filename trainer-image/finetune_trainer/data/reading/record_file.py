"""A file of records that can be read again and again: judged once, then cut into records by the reader of its format."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from finetune_api.resources.source import RowFormat
from finetune_trainer.data.reading.json_array import array_records
from finetune_trainer.data.reading.jsonl import jsonl_blocks, jsonl_records, row_count, sliced
from finetune_trainer.data.reading.recognise import EXPECTED, HEAD, NotRows, recognise
from finetune_trainer.data.reading.record import Block, Record, Unreadable
from finetune_trainer.data.reading.slices import EVERYTHING, Bounds, resolve
from finetune_trainer.data.reading.stream import Compression, Progress, compression_of, no_progress, open_stream
from finetune_trainer.failure import invalid

__all__ = ["Block", "Record", "RecordFile", "Unreadable"]


@dataclass(frozen=True)
class RecordFile:
    """A file, what it is, and the part of it that is wanted."""

    path: Path
    name: str
    """As the user wrote it."""
    param: str
    """The spec field that names it."""
    format: RowFormat
    compression: Compression = ""
    bounds: Bounds = EVERYTHING
    notes: tuple[str, ...] = ()
    """What the user should know about how it is read."""

    @classmethod
    def open(
        cls, path: Path, name: str, param: str, *, format: RowFormat | None = None, slice: str | None = None, scratch: Path
    ) -> "RecordFile":
        """Judges a file by its content; raises StageFailure InvalidDataset for what holds no rows.

        `scratch` is a folder for Parquet and Arrow files that must be unpacked before they can be read.
        """
        try:
            compression = compression_of(path)
            with open_stream(path, compression) as stream:
                found = recognise(stream.read(HEAD))
            file = cls(path, name, param, format or found, compression)
            return cls(path, name, param, file.format, compression, resolve(slice, file.count))
        except NotRows as exc:
            raise invalid("InvalidDataset", f"{name} {exc}; {EXPECTED}", param=param) from exc
        except Unreadable as exc:
            raise invalid("InvalidDataset", f"{name}: {exc}", param=param) from exc
        except ValueError as exc:
            raise invalid("InvalidDataset", f"{name}: slice {slice!r}: {exc}", param=f"{param.removesuffix('.source')}.slice") from exc

    @property
    def bytes_total(self) -> int:
        """Size of the file as it lies on disk: what a progress callback counts up to."""
        return self.path.stat().st_size

    def records(self, progress: Progress = no_progress) -> Iterator[Record]:
        """The records in order; may be called again and again. Raises Unreadable."""
        if self.format == "jsonl":
            yield from jsonl_records(self._blocks(progress))
            return
        with open_stream(self.path, self.compression, progress) as stream:
            yield from self.bounds.of(array_records(stream))

    def blocks(self, progress: Progress = no_progress) -> Iterator[Block] | None:
        """The lines of a JSONL file, about 1 MiB at a time; None for other formats. Raises Unreadable."""
        return self._blocks(progress) if self.format == "jsonl" else None

    def count(self) -> int:
        """How many records there are within the bounds. Raises Unreadable."""
        if self.format == "jsonl":
            return sum(row_count(block.data) for block in self._blocks())
        return sum(1 for _ in self.records())

    def _blocks(self, progress: Progress = no_progress) -> Iterator[Block]:
        with open_stream(self.path, self.compression, progress) as stream:
            blocks = jsonl_blocks(stream)
            yield from blocks if self.bounds.everything else sliced(blocks, self.bounds.start, self.bounds.stop)
