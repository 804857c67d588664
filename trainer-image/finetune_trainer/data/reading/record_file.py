"""A file of records that can be read again and again: judged once, then cut into records by the reader of its format."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from finetune_api.resources.source import RowFormat
from finetune_trainer.data.reading.csv_table import Sheet, csv_records, sheet_of
from finetune_trainer.data.reading.json_array import array_records
from finetune_trainer.data.reading.jsonl import jsonl_blocks, jsonl_records, row_count
from finetune_trainer.data.reading.lines import UTF8_BOM
from finetune_trainer.data.reading.recognise import EXPECTED, HEAD, NAMES, recognise
from finetune_trainer.data.reading.record import Block, Fault, NotRows, Record, Unreadable
from finetune_trainer.data.reading.slices import EVERYTHING, Bounds, WrongSlice, resolve
from finetune_trainer.data.reading.stream import Compression, Progress, compression_of, no_progress, open_stream
from finetune_trainer.data.reading.unpack import unpack
from finetune_trainer.failure import invalid

__all__ = ["Block", "Fault", "Record", "RecordFile", "Unreadable"]


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
    columns: tuple[str, ...] = ()
    """Of a table: the columns that records have."""
    notes: tuple[str, ...] = ()
    """What the user should know about how it is read."""
    sheet: Sheet | None = None
    """Of CSV: how it is written."""
    unpacked: Path | None = None
    """Of a compressed Parquet or Arrow file: where it was unpacked to."""

    @classmethod
    def open(
        cls, path: Path, name: str, param: str, *, format: RowFormat | None = None, slice: str | None = None, scratch: Path
    ) -> "RecordFile":
        """Judges a file by its content; raises StageFailure InvalidDataset for what holds no rows.

        `format`, where given, must be what the file is. `scratch` is a folder for Parquet and Arrow files that must be unpacked
        before they can be read (StageFailure StorageFull when they do not fit there).
        """
        field = param.removesuffix(".source")
        try:
            if path.is_dir():
                raise NotRows("is a folder: name a file in it")
            compression = compression_of(path)
            with open_stream(path, compression) as stream:
                head = stream.read(HEAD)
            file = cls(path, name, param, _agreed(recognise(head), format, field, head), compression)
            file = file._with_columns(head, scratch)
            return replace(file, bounds=resolve(slice, file.count))
        except NotRows as exc:
            raise invalid("InvalidDataset", f"{name} {exc}; {EXPECTED}", param=param) from exc
        except Unreadable as exc:
            raise invalid("InvalidDataset", f"{name}: {exc}", param=param) from exc
        except WrongSlice as exc:
            raise invalid("InvalidDataset", f"{name}: slice {slice!r}: {exc}", param=f"{field}.slice") from exc

    def _with_columns(self, head: bytes, scratch: Path) -> "RecordFile":
        """Looks at a table's header or schema, after unpacking what must be."""
        if self.format == "csv":
            sheet = sheet_of(head)
            return replace(self, sheet=sheet, columns=tuple(filter(None, sheet.columns)), notes=self._said(sheet.notes))
        if self.format in ("parquet", "arrow"):
            from finetune_trainer.data.reading.table import shape_of  # pyarrow is not loaded for text

            unpacked = unpack(self.path, self.compression, self.name, scratch) if self.compression else None
            shape = shape_of(unpacked or self.path, self.format)
            return replace(self, unpacked=unpacked, columns=shape.columns, notes=self._said(shape.notes))
        return self

    def _said(self, notes: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(f"{self.name}: {note}" for note in notes)

    @property
    def bytes_total(self) -> int:
        """Size of the file as it lies on disk: what a progress callback counts up to."""
        return self.path.stat().st_size

    def records(self, progress: Progress = no_progress) -> Iterator[Record]:
        """The records in order; may be called again and again. Raises Unreadable."""
        if self.format == "jsonl":
            return jsonl_records(self._blocks(progress))
        if self.format in ("parquet", "arrow"):
            return self._table_records(progress)
        return self.bounds.of(self._text_records(progress))

    def blocks(self, progress: Progress = no_progress) -> Iterator[Block] | None:
        """The lines of a JSONL file, about 1 MiB at a time; None for other formats. Raises Unreadable."""
        return self._blocks(progress) if self.format == "jsonl" else None

    def count(self) -> int:
        """How many records there are within the bounds, as cheaply as the format allows. Raises Unreadable."""
        if self.format == "jsonl":
            return sum(row_count(block.data) for block in self._blocks(no_progress))
        if self.format in ("parquet", "arrow"):
            from finetune_trainer.data.reading.table import shape_of

            return self.bounds.length(shape_of(self.unpacked or self.path, self.format).rows)
        return sum(1 for _ in self.records())

    def _blocks(self, progress: Progress) -> Iterator[Block]:
        with open_stream(self.path, self.compression, progress) as stream:
            yield from jsonl_blocks(stream, self.bounds)

    def _text_records(self, progress: Progress) -> Iterator[Record]:
        with open_stream(self.path, self.compression, progress) as stream:
            yield from csv_records(stream, self.sheet) if self.sheet else array_records(stream)

    def _table_records(self, progress: Progress) -> Iterator[Record]:
        from finetune_trainer.data.reading.table import table_records

        total = self.bytes_total
        return table_records(
            self.unpacked or self.path, self.format, self.columns, self.bounds, lambda row, rows: progress(total * row // max(rows, 1))
        )


def _agreed(found: RowFormat | None, wanted: RowFormat | None, field: str, head: bytes) -> RowFormat:
    """The format that the user asks for, if the file may be that; otherwise the one that it is."""
    if wanted and found and wanted != found:
        raise NotRows(f"is {NAMES[found]}, and {field}.format says {wanted}: remove the format or write {found}")
    if wanted in ("parquet", "arrow") and found is None:
        raise NotRows(f"is text, and {field}.format says {wanted}: remove the format or give the right file")
    if not (wanted or found):
        line = head.removeprefix(UTF8_BOM).lstrip().split(b"\n", 1)[0][:60].decode("utf-8", "replace")
        header = "the first line of CSV names as many columns as the others have, and one column alone needs format csv"
        raise NotRows(f"is text, but neither JSONL nor CSV: it starts with {line.rstrip()!r} ({header})")
    return wanted or found or "jsonl"
