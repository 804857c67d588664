"""A file of records that can be read again and again: judged once, then cut into records by the reader of its format."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from finetune_api.resources.source import RowFormat
from finetune_trainer.data.reading.csv_table import Csv, sheet_of
from finetune_trainer.data.reading.json_array import JsonArray
from finetune_trainer.data.reading.jsonl import Jsonl
from finetune_trainer.data.reading.reader import FormatReader
from finetune_trainer.data.reading.recognise import EXPECTED, FORMAT_NAMES, HEAD, format_of
from finetune_trainer.data.reading.record import LIMITS, Block, Limits, NotRows, Record, Unreadable
from finetune_trainer.data.reading.slices import WrongSlice, resolve_slice
from finetune_trainer.data.reading.stream import UTF8_BOM, Compression, ReadProgress, compression_of, no_progress, open_stream
from finetune_trainer.data.reading.unpack import unpack
from finetune_trainer.failure import invalid


@dataclass(frozen=True)
class RecordFile:
    """A file, what it is, and the reader of the part of it that is wanted."""

    path: Path
    name: str
    """As the user wrote it."""
    param: str
    """The spec field that names it."""
    format: RowFormat
    compression: Compression
    reader: FormatReader

    @classmethod
    def open(
        cls,
        path: Path,
        name: str,
        param: str,
        *,
        format: RowFormat | None = None,
        slice: str | None = None,
        scratch: Path,
        limits: Limits = LIMITS,
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
            found = _agreed(format_of(head), format, field, head)
            file = cls(path, name, param, found, compression, _reader(path, name, found, compression, head, scratch, limits))
            return replace(file, reader=file.reader.within(resolve_slice(slice, file.count)))
        except NotRows as exc:
            raise invalid("InvalidDataset", f"{name} {exc}; {EXPECTED}", param=param) from exc
        except Unreadable as exc:
            raise invalid("InvalidDataset", f"{name}: {exc}", param=param) from exc
        except WrongSlice as exc:
            raise invalid("InvalidDataset", f"{name}: slice {slice!r}: {exc}", param=f"{field}.slice") from exc

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know about how it is read."""
        return tuple(f"{self.name}: {note}" for note in self.reader.notes)

    @property
    def columns(self) -> tuple[str, ...]:
        """Of a table: the columns that records have."""
        return self.reader.columns

    @property
    def bytes_total(self) -> int:
        """Size of the file as it lies on disk: what a progress callback counts up to."""
        return self.path.stat().st_size

    def records(self, progress: ReadProgress = no_progress) -> Iterator[Record]:
        """The records in order; may be called again and again. Raises Unreadable."""
        return self.reader.records(progress)

    def blocks(self, progress: ReadProgress = no_progress) -> Iterator[Block] | None:
        """The lines of a JSONL file, many at a time; None for other formats. Raises Unreadable."""
        return self.reader.blocks(progress)

    def count(self) -> int:
        """How many records there are. Raises Unreadable."""
        return self.reader.count()


def _reader(path: Path, name: str, fmt: RowFormat, compression: Compression, head: bytes, scratch: Path, limits: Limits) -> FormatReader:
    """The reader of a format, which has looked at a table's header or schema. Raises NotRows."""
    if fmt == "jsonl":
        return Jsonl(path, compression, limits)
    if fmt == "json":
        return JsonArray(path, compression, limits)
    if fmt == "csv":
        return Csv(path, compression, limits, sheet=sheet_of(head))
    from finetune_trainer.data.reading.table import open_reader  # pyarrow is not loaded for text

    plain = unpack(path, compression, name, scratch) if compression else path
    return open_reader(plain, fmt, path.stat().st_size, limits)


def _agreed(found: RowFormat | None, wanted: RowFormat | None, field: str, head: bytes) -> RowFormat:
    """The format that the user asks for, if the file may be that; otherwise the one that it is."""
    if wanted and found and wanted != found:
        raise NotRows(f"is {FORMAT_NAMES[found]}, and {field}.format says {wanted}: remove the format or write {found}")
    if wanted in ("parquet", "arrow") and found is None:
        raise NotRows(f"is text, and {field}.format says {wanted}: remove the format or give the right file")
    if not (wanted or found):
        line = head.removeprefix(UTF8_BOM).lstrip().split(b"\n", 1)[0][:60].decode("utf-8", "replace")
        header = "the first line of CSV names as many columns as the others have, and one column alone needs format csv"
        raise NotRows(f"is text, but neither JSONL nor CSV: it starts with {line.rstrip()!r} ({header})")
    return wanted or found or "jsonl"
