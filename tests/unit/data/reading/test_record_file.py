"""Every format in every compression is read row for row, in part, again and again."""

import json
from pathlib import Path
from typing import Any

import pytest

from finetune_trainer.data.reading.byte_range import byte_ranges
from finetune_trainer.data.reading.record import Limits, Unreadable
from finetune_trainer.failure import StageFailure
from tests.unit.data.reading.files import COMPRESSORS, FORMATS, WRITERS, contents, jsonl, opened, parquet, texts

COMBINATIONS = [(writer, compression) for writer in WRITERS for compression in COMPRESSORS]


@pytest.mark.parametrize("writer, compression", COMBINATIONS)
def test_every_format_is_read_by_its_content(tmp_path: Path, writer: str, compression: str) -> None:
    """Neither the name nor the spec tells what a file is; rows come in order, as often as one asks."""
    rows = texts(20)
    file = opened(tmp_path, COMPRESSORS[compression](WRITERS[writer](rows)))
    assert (file.format, file.compression) == (FORMATS.get(writer, writer), compression)
    assert contents(list(file.records())) == rows
    assert contents(list(file.records())) == rows
    assert file.count() == 20


SLICES = [
    ("0%:80%", 0, 16),
    ("80%:", 16, 20),
    (":50%", 0, 10),
    ("33%:34%", 6, 6),
    ("5:15", 5, 15),
    ("7:", 7, 20),
    (":7", 0, 7),
    ("6:8", 6, 8),
    ("19:2000", 19, 20),
    ("50%:12", 10, 12),
    (":", 0, 20),
]


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("text, start, stop", SLICES)
def test_a_slice_is_a_part_of_the_rows(tmp_path: Path, writer: str, text: str, start: int, stop: int) -> None:
    """Whatever the format: the rows that Python's slice would give, with the places that they have in the whole file."""
    data = WRITERS[writer](texts(20))
    whole = list(opened(tmp_path, data).records())
    if start == stop:
        with pytest.raises(StageFailure, match="it leaves no row") as caught:
            opened(tmp_path, data, slice=text)
        assert caught.value.error.param == "dataset.train.slice"
        return
    part = opened(tmp_path, data, slice=text)
    assert list(part.records()) == whole[start:stop]
    assert part.count() == stop - start


@pytest.mark.parametrize("block", [4, 5, 64, 1 << 20])
@pytest.mark.parametrize("text", ["0%:80%", "3:9", "2:", ":1", "0:10"])
def test_blocks_are_the_records_of_jsonl(tmp_path: Path, block: int, text: str) -> None:
    """The fast path has the same lines at the same places, with blank lines and slices, wherever a block ends."""
    lines = [b"", b'{"a": 0}', b" \r", b"", b'{"a": 1}\r', *(b'{"a": %d}' % n for n in range(2, 8)), b"\t", b'{"a": 8}', b"", b'{"a": 9}']
    file = opened(tmp_path, b"\xef\xbb\xbf" + b"\n".join(lines), slice=text, limits=Limits(block=block))
    found = [
        (number, line) for data, first, _ in file.blocks() or () for number, line in enumerate(data.split(b"\n"), first) if line.strip()
    ]
    assert found == [(one.line, one.content) for one in file.records()]
    assert [lines[number - 1] for number, _ in found] == [line for _, line in found]
    assert len(found) == file.count()


@pytest.mark.parametrize("block", [4, 5, 64, 1 << 20])
@pytest.mark.parametrize("most", [1, 40, 1 << 20])
@pytest.mark.parametrize("text", ["0%:80%", "3:9", "2:", "4:", "0:10"])
def test_byte_ranges_are_the_blocks_by_their_place(tmp_path: Path, block: int, most: int, text: str) -> None:
    """Another process that reads them has the same lines at the same places, without the file's byte order mark and with a later one."""
    lines = [
        b"",
        b'{"a": 0}',
        b" \r",
        b"",
        b'{"a": 1}\r',
        *(b'\xef\xbb\xbf{"a": %d}' % n for n in range(2, 5)),
        *([b""] * 70),
        *(b'{"a": %d}' % n for n in range(5, 8)),
        b"\t",
        b'{"a": 8}',
        b'{"a": 9}',
    ]
    file = opened(tmp_path, b"\xef\xbb\xbf" + b"\n".join(lines), slice=text, limits=Limits(block=block))
    blocks = list(file.blocks() or ())
    read = [part for found in byte_ranges(file.path, blocks, most) for part in found.blocks(block)]
    assert b"".join(part.data for part in read) == b"".join(part.data for part in blocks)
    for data, line, offset in (*read, *blocks):
        assert file.path.read_bytes()[offset:].startswith(data)
        assert lines[line - 1] == data.split(b"\n")[0]


def test_byte_ranges_end_where_a_file_cannot_be_read(tmp_path: Path) -> None:
    """What was read before comes first."""
    file = opened(tmp_path, b'{"a": 1}\n{"a": 2}\n' + b"x" * 100, limits=Limits(block=16, row=32))
    found = byte_ranges(file.path, file.blocks() or ())
    assert next(found).size == 18
    with pytest.raises(Unreadable, match="line 3 is longer"):
        next(found)


def test_only_jsonl_has_blocks(tmp_path: Path) -> None:
    """Other formats have no lines that are rows."""
    assert opened(tmp_path, parquet(texts(3))).blocks() is None


@pytest.mark.parametrize(
    "writer, where", [("jsonl", "line 2"), ("json", "row 2 (line 6)"), ("csv", "row 2 (line 4)"), ("parquet", "row 2")]
)
def test_a_record_says_where_it_is(tmp_path: Path, writer: str, where: str) -> None:
    """In the words that a person can search for: lines where the format has them."""
    assert list(opened(tmp_path, WRITERS[writer](texts(3))).records())[1].where == where


@pytest.mark.parametrize("writer, compression", COMBINATIONS)
def test_progress_ends_at_the_size_of_the_file(tmp_path: Path, writer: str, compression: str) -> None:
    """Bytes are counted as they lie on disk, so that a bar ends at its end."""
    seen: list[int] = []
    file = opened(tmp_path, COMPRESSORS[compression](WRITERS[writer](texts(20))))
    list(file.records(seen.append))
    assert seen == sorted(seen)
    assert seen[-1] == file.bytes_total


@pytest.mark.parametrize("writer", WRITERS)
def test_a_slice_behind_the_end_is_said(tmp_path: Path, writer: str) -> None:
    """A slice that leaves nothing is a mistake, with the number of rows that there are."""
    file = opened(tmp_path, WRITERS[writer](texts(20)), slice="20:30")
    with pytest.raises(Unreadable, match="begins after row 20, and the file has 20"):
        list(file.records())


@pytest.mark.parametrize(
    "text, words",
    [
        ("80%:20%", "it leaves no row: it begins at 16 and ends before 4; the file has 20 rows"),
        ("9:9", "it leaves no row"),
        ("0%:120%", "120% is more than 100%"),
        ("5", "expected two row numbers or percentages"),
        ("a:b", "'a' is not a row number"),
        ("-5:", "'-5' is not a row number"),
        ("9" * 5000 + ":", "is not a row number"),
        ("²:", "is not a row number"),
    ],
)
def test_a_wrong_slice_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """A slice is checked before anything is read; the message says what it should look like."""
    with pytest.raises(StageFailure) as caught:
        opened(tmp_path, jsonl(texts(20)), slice=text)
    assert words in caught.value.error.message
    assert text in caught.value.error.message
    assert caught.value.error.param == "dataset.train.slice"


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("wanted", ["jsonl", "json", "csv", "parquet", "arrow"])
def test_a_format_in_the_spec_must_be_the_files(tmp_path: Path, writer: str, wanted: Any) -> None:
    """What the user says is not overridden in silence: a file of another format is refused with both names."""
    data, found = WRITERS[writer](texts(20)), FORMATS.get(writer, writer)
    if wanted == found:
        assert opened(tmp_path, data, format=wanted).format == wanted
        return
    with pytest.raises(StageFailure, match=rf"and dataset\.train\.format says {wanted}: remove the format or write {found}"):
        opened(tmp_path, data, format=wanted)


def test_a_row_that_never_ends_is_not_read_into_memory(tmp_path: Path) -> None:
    """A file without line ends is refused at a bound, not at the machine's memory."""
    limits = Limits(block=100, row=1000)
    for data in (b'{"a": "' + b" " * 5000, b'[{"a": "' + b" " * 5000):
        with pytest.raises(Unreadable, match="is longer than"):
            list(opened(tmp_path, data, limits=limits).records())
    long = json.dumps({"a": "x" * 900}).encode()
    assert len(list(opened(tmp_path, b"\n".join([long] * 5), limits=limits).records())) == 5
