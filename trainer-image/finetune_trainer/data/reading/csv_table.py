"""CSV with a header line, also with tabs or semicolons: a row a dict of texts. Knows no types."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from finetune_trainer.data.reading.lines import UTF8_BOM, line_blocks
from finetune_trainer.data.reading.record import Fault, NotRows, Record, Unreadable
from finetune_trainer.data.reading.stream import ByteStream

MAX_CELL = 8 << 20
"""A longer cell is a quote that somebody forgot to close."""
_NAME = 64
_DELIMITERS = ",\t;|"
_SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)
"""What Excel takes as a hint."""


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
        return (f"column {' and '.join(unnamed)} has no name in the header line: it is left out",) if unnamed else ()


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
        raise NotRows("has no header line: the first line must name the columns")
    if twice := next((name for name in columns if name and columns.count(name) > 1), None):
        raise NotRows(f"has two columns {twice!r} in its header line: rename one")
    return Sheet(delimiter, columns, 2 if separator else 1, spaced)


def looks_like_csv(head: bytes) -> bool:
    """True when the first line has several cells, short as names are, and another line has as many."""
    text = head.removeprefix(UTF8_BOM).decode("utf-8", "replace").lstrip("\r\n")
    if _SEPARATOR_LINE.match(text):
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

    def __init__(self, stream: ByteStream) -> None:
        self.faults: dict[int, Fault] = {}
        self._blocks = line_blocks(stream, MAX_CELL, "is a quote not closed?")

    def __iter__(self) -> Iterator[str]:
        for data, line in self._blocks:
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


def csv_records(stream: ByteStream, sheet: Sheet) -> Iterator[Record]:
    """The rows below the header line; empty lines are passed over. Raises Unreadable."""
    lines, columns, row, skip = _Lines(stream), sheet.columns, 0, sheet.header_rows
    csv.field_size_limit(MAX_CELL)
    reader = csv.reader(iter(lines), delimiter=sheet.delimiter, skipinitialspace=sheet.spaced, strict=True)
    unnamed = not all(columns)
    while True:
        before = reader.line_num
        try:
            cells = next(reader, None)
        except csv.Error as exc:
            row += 1
            yield Record({}, before + 1, row, _broken(exc, before + 1, row, reader.line_num))
            continue
        if cells is None:
            return
        if not cells:
            lines.fault(before + 1, reader.line_num)
            continue
        if skip:
            skip -= 1
            continue
        row += 1
        fault = lines.fault(before + 1, reader.line_num) or _wrong_size(cells, sheet)
        if fault:
            yield Record({}, before + 1, row, fault)
            continue
        content = dict(zip(columns, cells, strict=True))
        if unnamed:
            del content[""]
        yield Record(content, before + 1, row)


def _wrong_size(cells: list[str], sheet: Sheet) -> Fault | None:
    names = sheet.columns
    if len(cells) == len(names):
        return None
    sign = {"\t": "tab"}.get(sheet.delimiter, f"'{sheet.delimiter}'")
    hint = f": put a cell that holds a {sign} into double quotes" if len(cells) > len(names) else ""
    count = f"{len(cells)} cell{'s' * (len(cells) != 1)}"
    return Fault("wrong number of cells", f"has {count}, and the header line names {len(names)} ({', '.join(names)[:200]}){hint}")


def _broken(exc: csv.Error, line: int, row: int, last: int) -> Fault:
    """What is wrong with the quotes of a row. Raises Unreadable when the rest of the file is swallowed by one."""
    where, says = Record(b"", line, row).where, str(exc)
    if "unexpected end" in says or "field larger" in says:
        raise Unreadable(f"{where}: a double quote is opened here and not closed (read to line {last})") from exc
    return Fault("broken quotes", f"a quoted cell goes on after its closing quote ({says}): write a double quote within a cell twice")
