"""CSV: quotes, line ends, delimiters, header lines, and the rows that do not fit them."""

from pathlib import Path

import pytest

from finetune_trainer.data.reading import csv_table
from finetune_trainer.data.reading.record import Unreadable
from finetune_trainer.failure import StageFailure
from tests.unit.data.reading.files import contents, opened

GOOD: list[tuple[str, str, list[dict[str, str]]]] = [
    ("plain", "a,b\n1,2\n", [{"a": "1", "b": "2"}]),
    ("no newline at the end", "a,b\n1,2", [{"a": "1", "b": "2"}]),
    ("Windows line ends", "a,b\r\n1,2\r\n", [{"a": "1", "b": "2"}]),
    ("byte order mark", "\ufeffa,b\n1,2\n", [{"a": "1", "b": "2"}]),
    ("blank lines", "\na,b\n\n1,2\n\n\n3,4\n", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
    ("tabs", "a\tb\n1,5\t2\n", [{"a": "1,5", "b": "2"}]),
    ("semicolons", "a;b\n1,5;2\n", [{"a": "1,5", "b": "2"}]),
    ("bars", "a|b\n1|2\n", [{"a": "1", "b": "2"}]),
    ("Excel's hint", "sep=;\r\na;b\r\n1;2\r\n", [{"a": "1", "b": "2"}]),
    ("newline in a cell", 'a,b\n"1\n\n2",3\n', [{"a": "1\n\n2", "b": "3"}]),
    ("quote in a cell", 'a,b\n"say ""hi""",3\n', [{"a": 'say "hi"', "b": "3"}]),
    ("blank before the quote", 'a, "b"\n1, "2, 3"\n', [{"a": "1", "b": "2, 3"}]),
    ("empty cells", "a,b\n,\n", [{"a": "", "b": ""}]),
    ("header alone", "a,b\n", []),
    ("Unicode line ends stay", "a,b\nx\u2028y,z\x0b\n", [{"a": "x\u2028y", "b": "z\x0b"}]),
    ("JSON in cells", 'a,b\n"{""x"": 1}",2\n', [{"a": '{"x": 1}', "b": "2"}]),
    ("a pandas index", ",a,b\n0,1,2\n", [{"a": "1", "b": "2"}]),
]


@pytest.mark.parametrize("text, rows", [entry[1:] for entry in GOOD], ids=[entry[0] for entry in GOOD])
def test_what_programs_write_is_read(tmp_path: Path, text: str, rows: list[dict[str, str]]) -> None:
    """Cells are texts, named by the header line."""
    file = opened(tmp_path, text.encode())
    assert file.format == "csv"
    assert contents(list(file.records())) == rows


DIRTY: list[tuple[str, bytes, str, str]] = [
    ("too few", b"1", "wrong number of cells", "has 1 cell, and the header line names 2 (a, b)"),
    ("too many", b"1,2,3", "wrong number of cells", "has 3 cells, and the header line names 2 (a, b): put a cell that holds a ','"),
    (
        "Latin-1",
        b"1,caf\xe9",
        "not UTF-8",
        "byte 0xe9 at column 6 of line 5 is not UTF-8 (in Windows-1252 it is 'é'): save the file as UTF-8",
    ),
    ("Latin-1 in a long cell", b'1,"x\ncaf\xe9"', "not UTF-8", "byte 0xe9 at column 4 of line 6"),
    ("half a character", b"1,\xc3", "not UTF-8", "byte 0xc3 at column 3 of line 5"),
    ("NUL", b"1,a\0b", "NUL byte", "a NUL byte at column 4 of line 5"),
    ("text after a quote", b'1,"a"b', "broken quotes", "a quoted cell goes on after its closing quote"),
]


@pytest.mark.parametrize("line, kind, words", [entry[1:] for entry in DIRTY], ids=[entry[0] for entry in DIRTY])
def test_a_row_that_does_not_fit_is_named(tmp_path: Path, line: bytes, kind: str, words: str) -> None:
    """The row has a fault, by its line; the rows around it are read as if nothing was."""
    records = list(opened(tmp_path, b'a,b\n"x\n\ny",1\n' + line + b"\n3,4\n").records())
    assert [one.row for one in records] == [1, 2, 3]
    assert contents(records) == [{"a": "x\n\ny", "b": "1"}, {}, {"a": "3", "b": "4"}]
    fault = records[1].fault
    assert fault is not None
    assert (records[1].line, fault.kind) == (5, kind)
    assert words in fault.text


@pytest.mark.parametrize("tail", ["", "3,4\n" * 5000])
def test_a_quote_that_is_not_closed_ends_the_reading_where_it_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tail: str) -> None:
    """Not where the file ends, and not after the whole file was read into one cell."""
    monkeypatch.setattr(csv_table, "MAX_CELL", 10_000)
    file = opened(tmp_path, ('a,b\n1,2\n3,"4\n' + tail).encode())
    with pytest.raises(Unreadable, match="line 3: a double quote is opened in this row and not closed"):
        list(file.records())


@pytest.mark.parametrize(
    "text, words",
    [
        ("a,b,a\n1,2,3\n", "has two columns 'a' in its header line: rename one"),
        (",,\n1,2,3\n", "has no header line that can be read: the first line must name the columns"),
        ("a,caf\udce9\n1,2\n", "has a header line that is not UTF-8: save the file as UTF-8"),
        ("a,b\r1,2\r3,4\r", "has the line ends of old Macintosh files (CR alone)"),
    ],
)
def test_a_header_that_names_no_columns_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """Columns are found by their names alone."""
    with pytest.raises(StageFailure) as caught:
        opened(tmp_path, text.encode("utf-8", "surrogateescape"))
    assert words in caught.value.error.message


def test_one_column_is_csv_when_the_spec_says_so(tmp_path: Path) -> None:
    """A list of lines could be anything, so nothing is guessed."""
    assert contents(list(opened(tmp_path, b"text\nhello, you\n", format="csv").records())[:1]) != []
    assert contents(list(opened(tmp_path, b"text\nhello\n", format="csv").records())) == [{"text": "hello"}]
    with pytest.raises(StageFailure, match="is text, but neither JSONL nor CSV: it starts with 'text'"):
        opened(tmp_path, b"text\nhello\n")


def test_what_is_left_out_is_noted(tmp_path: Path) -> None:
    """A column without a name cannot be asked for."""
    assert opened(tmp_path, b",a,b\n0,1,2\n").notes == ("pvc://data/rows: column 1 has no name in the header line: it is ignored",)
