"""What was mistaken for rows is called by its name, with the next step."""

import gzip
import io
import json
import pickle
import struct
import tarfile
from pathlib import Path

import pytest

from finetune_trainer.data.reading.record_file import RecordFile
from finetune_trainer.failure import StageFailure
from tests.unit.data.reading.files import PARAM, array, contents, jsonl, opened, texts, zstd

ROW = b'{"messages": [{"role": "user", "content": "Hi"}]}'


def tar(data: bytes) -> bytes:
    """An archive of one file."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        info = tarfile.TarInfo("train.jsonl")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


REFUSED: list[tuple[str, bytes, str]] = [
    ("nothing", b"", "is empty"),
    ("pandas' default", b'{"text":{"0":"a","1":"b"},"label":{"0":1,"1":0}}', "pandas writes it by default, one object for all rows"),
    ("pandas by index", b'{"0":{"text":"a"},"1":{"text":"b"}}', 'orient="records", lines=True'),
    ("pandas split", b'{"columns":["text","label"],"index":[0,1],"data":[["a",1],["b",0]]}', 'orient="records", lines=True'),
    ("pandas, long", b'{"te\\"xt":{"0":"' + b"a" * 100_000, 'orient="records", lines=True'),
    ("encoded twice", b"\n".join([json.dumps(ROW.decode()).encode()] * 2), "holds rows that were encoded twice: each line is"),
    ("one row encoded twice", json.dumps(ROW.decode()).encode() + b",\n", "(jq -c fromjson FILE > rows.jsonl)"),
    ("bare messages", b'[{"role": "user", "content": "Hi"}]\n' * 3, "holds a bare list of messages per line: each row is an o"),
    ("CoNLL", b"-DOCSTART- -X- -X- O\n\nMaria NNP B-NP B-PER\nsleeps VBZ O O\n\n. . O O\n", "is CoNLL text, a word and its tag per line"),
    ("CoNLL of two columns", b"Maria\tB-PER\nsleeps\tO\n\nOslo\tB-LOC\n", '{"tokens": ["Maria", "sleeps"], "tags": ["B-PER", "O"]}'),
    ("white space", b" \n\n\t", "has only white space"),
    ("only a byte order mark", b"\xef\xbb\xbf", "has only white space"),
    ("NUL bytes", b"\0" * 10_000, "has only NUL bytes"),
    ("HTML", b"\n<!DOCTYPE html><html>", "is an HTML or XML page, probably an error or a log-in page that was saved as data"),
    ("HTML without a doctype", b"<html lang=en>", "is an HTML or XML page"),
    ("HTML comment", b"<!-- cached -->\n<html>", "is an HTML or XML page"),
    ("S3 error", b'<?xml version="1.0"?><Error>', "is an HTML or XML page"),
    ("UTF-16 with mark", '{"messages": []}'.encode("utf-16"), "is UTF-16 text: save it as UTF-8 (iconv -f UTF-16 -t UTF-8)"),
    ("UTF-16 without mark", ('{"messages": []}' * 20).encode("utf-16-le"), "is UTF-16 text: save it as UTF-8"),
    ("UTF-16, big end first", ('{"messages": []}' * 20).encode("utf-16-be"), "is UTF-16 text: save it as UTF-8"),
    ("short UTF-16 without mark", "a,b\n".encode("utf-16-le"), "is UTF-16 text: save it as UTF-8"),
    ("UTF-32", '{"messages": []}'.encode("utf-32"), "is UTF-32 text: save it as UTF-8"),
    ("zip", b"PK\x03\x04rest", "is a zip archive (or a spreadsheet, or a PyTorch checkpoint): export the rows as JSONL or CSV"),
    ("old Excel", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an old Excel or Word file: export the rows as CSV"),
    ("bzip2", b"BZh91AY\0", "is a bzip2 file: unpack it"),
    ("xz", b"\xfd7zXZ\0\0", "is an xz file: unpack it"),
    ("PDF", b"%PDF-1.7", "is a PDF file"),
    ("pickle", pickle.dumps([{"a": 1}]), "is a Python pickle, which is never opened because it can run code"),
    ("safetensors", struct.pack("<Q", 40) + b'{"w": {"dtype": "F32"}}', "is a safetensors file: these are a model's weights"),
    ("GGUF", b"GGUF\3\0\0\0", "is a GGUF model"),
    ("tar", tar(ROW), "is a tar archive: unpack it and name one of its files"),
    ("tar.gz", gzip.compress(tar(ROW)), "is a tar archive"),
    ("gzip in gzip", gzip.compress(gzip.compress(ROW)), "is compressed twice: unpack it once"),
    ("zstd in gzip", gzip.compress(zstd(ROW)), "is compressed twice"),
    ("HTML in gzip", gzip.compress(b"<html>"), "is an HTML or XML page"),
    ("nothing in gzip", gzip.compress(b""), "is empty"),
    ("Feather version 1", b"FEA1rest\0", "is a Feather file of version 1"),
    ("encrypted Parquet", b"PARErest\0", "is a Parquet file that is encrypted"),
    ("Parquet that is cut off", b"PAR1rest\0", "is a Parquet file that is cut off or damaged"),
    ("Arrow that is cut off", b"ARROW1\0\0rest", "is an Arrow file that is cut off or damaged"),
    ("program", b"\x7fELF\0\0\1\2", "is a binary file"),
    ("bytes", bytes(range(256)) * 20, "is a binary file (it has NUL bytes)"),
    ("Git LFS", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1\n", "is a Git LFS pointer, not the file itself"),
    ("words", b"Once upon a time there was a model.\nIt learned.", "is text, but neither JSONL nor CSV: it starts with 'Once upon"),
    ("YAML", b"messages:\n  - role: user\n    content: hi\n", "is text, but neither JSONL nor CSV: it starts with 'messages:' (the"),
    ("JSON string", b'"hello"\n', "is text, but neither JSONL nor CSV"),
    ("pretty-printed objects", b"\n".join(json.dumps(row, indent=2).encode() for row in texts(3)), "go over several lines"),
    ("one pretty-printed row", json.dumps({"messages": [{"role": "user", "content": "a"}]}, indent=2).encode(), "go over several lines"),
    ("pretty-printed and broken", b'{\n  "a": 1\n', "go over several lines: write one object per line (jq -c . FILE > rows.jsonl)"),
    ("one huge pretty-printed object", json.dumps({"x": "y", "a": ["z" * 50] * 9000}, indent=2).encode(), "go over several lines"),
    ("object with rows", json.dumps({"data": texts(3)}).encode(), "holds the rows under the key 'data': write them one per line (jq"),
    ("huge object with rows", json.dumps({"data": texts(9000)}).encode(), "holds the rows under the key 'data'"),
    ("pretty object with rows", json.dumps({"version": 1, "questions": texts(3)}, indent=1).encode(), "under the key 'questions'"),
]  # fmt: skip


@pytest.mark.parametrize("content, words", [entry[1:] for entry in REFUSED], ids=[entry[0] for entry in REFUSED])
def test_what_holds_no_rows_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    """The message names the file, what it is, and what is expected."""
    with pytest.raises(StageFailure) as caught:
        opened(tmp_path, content)
    error = caught.value.error
    assert (error.code, error.param) == ("InvalidDataset", PARAM)
    assert error.message.startswith("pvc://data/rows ")
    assert words in error.message
    assert "expected JSONL (one JSON object per line), a JSON array, CSV with a header line, Parquet or Arrow" in error.message


# What may look odd and is left to the check of its rows: (name, the file, its format, how many records)
TAKEN: list[tuple[str, bytes, str, int]] = [
    ("one row", ROW, "jsonl", 1),
    ("one row of a name that wrappers have", b'{"data": "x"}', "jsonl", 1),
    ("rows that hold lists", jsonl([{"data": [{"a": 1}]}] * 2), "jsonl", 2),
    ("a first line that is cut off", ROW[:-4] + b"\n" + ROW, "jsonl", 2),
    ("a first line cut after a bracket", b'{"messages": [\n' + ROW + b"\n" + ROW, "jsonl", 3),
    ("a first line of words", b"hello there\n" + ROW + b"\n" + ROW, "jsonl", 3),
    ("single quotes", b"{'messages': []}\n", "jsonl", 1),
    ("a header like a magic number", b"ORCID,PAR1\na,b\n", "csv", 1),
    ("another", b"PARENT,CHILD\na,b\n", "csv", 1),
    ("a NUL in a line", ROW[:-3] + b"\0" + ROW[-3:] + b"\n" + ROW, "jsonl", 2),
    ("a tail of NULs, as after a crash", ROW + b"\n" + ROW + b"\n" + b"\0" * 60, "jsonl", 3),
    ("a NUL in an array", b"[" + ROW[:-3] + b"\0" + ROW[-3:] + b"]", "json", 1),
    ("an array with a byte order mark", b"\xef\xbb\xbf\n" + array(texts(2)), "json", 2),
    ("deep nesting", b'{"a": ' + b"[" * 100_000, "jsonl", 1),
    ("a huge number", b'{"a": ' + b"9" * 100_000 + b"}", "jsonl", 1),
    ("CSV with code in it", b'a,b\n"x\n{""y"": 1}\n",2\n', "csv", 1),
    ("JSONL in several gzip members", gzip.compress(ROW + b"\n") * 3, "jsonl", 3),
    ("JSONL in several zstd frames", zstd(ROW + b"\n") * 3, "jsonl", 3),
]


@pytest.mark.parametrize("content, fmt, count", [entry[1:] for entry in TAKEN], ids=[entry[0] for entry in TAKEN])
def test_what_is_wrong_with_a_row_does_not_refuse_the_file(tmp_path: Path, content: bytes, fmt: str, count: int) -> None:
    """Findings about rows name the row; only what holds no rows at all is refused as a whole."""
    file = opened(tmp_path, content)
    assert file.format == fmt
    assert len(list(file.records())) == count


def test_names_do_not_matter(tmp_path: Path) -> None:
    """A .json file that is JSONL, and the reverse, are read as what they are."""
    assert contents(list(opened(tmp_path, jsonl(texts(2))).records())) == contents(list(opened(tmp_path, array(texts(2))).records()))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """A claim's path may end one step too early."""
    with pytest.raises(StageFailure, match="pvc://data is a folder: name a file in it"):
        RecordFile.open(tmp_path, "pvc://data", PARAM, scratch=tmp_path)
