"""CSV with a header line, also with tabs or semicolons: a row a dict of texts. Knows no types."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from finetune_trainer.data.reading.reader import TextReader
from finetune_trainer.data.reading.record import Fault, NotRows, Record, Unreadable
from finetune_trainer.data.reading.stream import UTF8_BOM, ByteStream, line_blocks

MAX_CELL = 8 << 20
"""A longer cell is a quote that somebody forgot to close."""
_NAME = 64
_DELIMITERS = ",\t;|"
_SEPARATOR_LINE = re.compile(r"sep=([,;|\t])\r?\n", re.IGNORECASE)
"""What Excel takes as a hint."""
_ONE_COLUMN = re.compile(r"\"?\w{1,64}\"?\r?\n\"\[")


@dataclass(frozen=True)
class Sheet:
    """How the cells are parted, and what they are called."""

    delimiter: str
    columns: tuple[str, ...]
    """As the header line says; "" for a column without a name, which is left out."""
    header_rows: int = 1
    """Records before the first row."""
    spaced: bool = False
    """Cells have a blank before their quote."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is left out."""
        unnamed = [str(number) for number, name in enumerate(self.columns, 1) if not name]
        return (f"column {' and '.join(unnamed)} has no name in the header line: it is ignored",) if unnamed else ()


NO_SHEET = Sheet(",", ())


def sheet_of(head: bytes) -> Sheet:
    """Reads the header line out of a file's first bytes. Raises NotRows."""
    text = head.removeprefix(UTF8_BOM).decode("utf-8", "replace").lstrip("\r\n")
    separator = _SEPARATOR_LINE.match(text)
    body = text[separator.end() :] if separator else text
    delimiter = separator[1] if separator else _delimiter(body)
    spaced = _spaced(body, delimiter)
    header = next((cells for cells in _parse(body, delimiter, spaced) if cells), [])
    columns = tuple(cell.strip() for cell in header)
    if not any(columns):
        raise NotRows("has no header line that can be read: the first line must name the columns")
    if any("\ufffd" in name for name in columns):
        raise NotRows("has a header line that is not UTF-8: save the file as UTF-8")
    if twice := next((name for name in columns if name and columns.count(name) > 1), None):
        raise NotRows(f"has two columns {twice!r} in its header line: rename one")
    return Sheet(delimiter, columns, 2 if separator else 1, spaced)


def looks_like_csv(head: bytes) -> bool:
    """True when the first line has several cells, short as names are, and another line has as many; or one, above quoted JSON arrays."""
    text = head.removeprefix(UTF8_BOM).decode("utf-8", "replace").lstrip("\r\n")
    if _SEPARATOR_LINE.match(text):
        return True
    if _ONE_COLUMN.match(text):
        return True
    delimiter = _delimiter(text)
    rows = [cells for cells in islice(_parse(text, delimiter, _spaced(text, delimiter)), 100) if cells]
    sizes = [len(cells) for cells in rows]
    if not rows or sizes[0] < 2 or any(len(name) > _NAME for name in rows[0]):
        return False
    return len(rows) == 1 or sizes[0] in sizes[1:]


def _delimiter(text: str) -> str:
    """The one that parts the header line into most cells."""
    line = text.lstrip().split("\n", 1)[0]
    return max(_DELIMITERS, key=lambda sign: len(next(_parse(line, sign, False), [])))


def _spaced(text: str, delimiter: str) -> bool:
    return f'{delimiter} "' in text.split("\n", 1)[0]


def _parse(text: str, delimiter: str, spaced: bool) -> Iterator[list[str]]:
    """The cells of what is whole in `text`."""
    reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=delimiter, skipinitialspace=spaced, strict=True)
    try:
        yield from reader
    except csv.Error:  # the head ends within a quote, or a cell is broken: the reading of rows will say
        return


class _Lines:
    """The file's lines as text, and which of them are not."""

    def __init__(self, stream: ByteStream, block: int) -> None:
        self.faults: dict[int, Fault] = {}
        self._blocks = line_blocks(stream, MAX_CELL, "is a quote not closed?", block)

    def __iter__(self) -> Iterator[str]:
        for data, line, _ in self._blocks:
            try:
                text = data.decode()
            except UnicodeDecodeError:
                self._find(data, line)
                text = data.decode("utf-8", "surrogateescape")
            if "\0" in text:
                self._find(data, line)
            yield from io.StringIO(text, newline="\n")

    def _find(self, data: bytes, first: int) -> None:
        for number, line in enumerate(data.split(b"\n"), first):
            try:
                line.decode()
            except UnicodeDecodeError as exc:
                self.faults[number] = not_utf8(line, exc, number)
            if b"\0" in line:
                self.faults[number] = Fault("NUL byte", f"a NUL byte at column {line.index(0) + 1} of line {number}: this is not text")

    def fault(self, first: int, last: int) -> Fault | None:
        """The first of these lines that is not text."""
        if not self.faults:
            return None
        return next((fault for number in range(first, last + 1) if (fault := self.faults.pop(number, None))), None)


def not_utf8(line: bytes, exc: UnicodeDecodeError, number: int) -> Fault:
    """Words for a byte that is not UTF-8, with what it most likely was."""
    byte = line[exc.start]
    seems = f" (in Windows-1252 it is {bytes([byte]).decode('cp1252', 'replace')!r})" if byte >= 0xA0 else ""
    return Fault("not UTF-8", f"byte 0x{byte:02x} at column {exc.start + 1} of line {number} is not UTF-8{seems}: save the file as UTF-8")


@dataclass(frozen=True)
class Csv(TextReader):
    """A FormatReader."""

    sheet: Sheet = NO_SHEET

    @property
    def notes(self) -> tuple[str, ...]:
        return self.sheet.notes

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(filter(None, self.sheet.columns))

    def cut(self, stream: ByteStream) -> Iterator[Record]:
        """The rows below the header line; empty lines are skipped."""
        csv.field_size_limit(MAX_CELL)
        sheet = self.sheet
        for row, (line, cells) in enumerate(_cells(stream, sheet, self.limits.block), 1 - sheet.header_rows):
            if row < 1:
                continue
            fault = cells if isinstance(cells, Fault) else _wrong_size(cells, sheet)
            if fault or isinstance(cells, Fault):
                yield Record({}, line, row, fault)
            else:
                yield Record({name: cell for name, cell in zip(sheet.columns, cells, strict=True) if name}, line, row)


def _cells(stream: ByteStream, sheet: Sheet, block: int) -> Iterator[tuple[int, list[str] | Fault]]:
    """The line at which each row begins, and its cells or what is wrong with its text."""
    lines = _Lines(stream, block)
    reader = csv.reader(iter(lines), delimiter=sheet.delimiter, skipinitialspace=sheet.spaced, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as exc:
            yield line, _broken(exc, line, reader.line_num)
            continue
        if cells is None:
            return
        fault = lines.fault(line, reader.line_num)
        if cells:
            yield line, fault or cells


def _wrong_size(cells: list[str], sheet: Sheet) -> Fault | None:
    names = sheet.columns
    if len(cells) == len(names):
        return None
    sign = {"\t": "tab"}.get(sheet.delimiter, f"'{sheet.delimiter}'")
    hint = f": put a cell that holds a {sign} into double quotes" if len(cells) > len(names) else ""
    count = f"{len(cells)} cell{'s' * (len(cells) != 1)}"
    return Fault("wrong number of cells", f"has {count}, and the header line names {len(names)} ({', '.join(names)[:200]}){hint}")


def _broken(exc: csv.Error, line: int, last: int) -> Fault:
    """What is wrong with the quotes of a row. Raises Unreadable when the rest of the file is swallowed by one."""
    if "unexpected end" in str(exc) or "field larger" in str(exc):
        raise Unreadable(f"line {line}: a double quote is opened in this row and not closed (read to line {last})") from exc
    return Fault("broken quotes", f"a quoted cell goes on after its closing quote ({exc}): write a double quote within a cell twice")
