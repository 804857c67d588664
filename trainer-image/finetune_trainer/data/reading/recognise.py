"""What a file is, judged by its first bytes: rows, or something that was mistaken for them."""

import json
import re
from typing import Any

from finetune_api.resources.source import RowFormat
from finetune_trainer.data.reading.csv_table import looks_like_csv
from finetune_trainer.data.reading.near_misses import refuse_near_miss
from finetune_trainer.data.reading.record import NotRows
from finetune_trainer.data.reading.stream import GZIP_MAGIC, UTF8_BOM, ZSTD_MAGIC

HEAD = 1 << 16
"""Bytes that are looked at."""
EXPECTED = "expected JSONL (one JSON object per line), a JSON array, CSV with a header line, Parquet or Arrow, each plain, .gz or .zst"
FORMAT_NAMES: dict[RowFormat, str] = {"jsonl": "JSONL", "json": "a JSON array", "csv": "CSV", "parquet": "Parquet", "arrow": "Arrow"}

_UTF16 = "UTF-16 text: save it as UTF-8 (iconv -f UTF-16 -t UTF-8)"
_TABLES: dict[bytes, RowFormat] = {b"PAR1": "parquet", b"ARROW1\0\0": "arrow", b"\xff\xff\xff\xff": "arrow"}
_MAGIC = {
    b"\xff\xfe\0\0": "UTF-32 text: save it as UTF-8 (iconv -f UTF-32 -t UTF-8)",
    b"\xff\xfe": _UTF16,
    b"\xfe\xff": _UTF16,
    GZIP_MAGIC: "compressed twice: unpack it once",
    ZSTD_MAGIC: "compressed twice: unpack it once",
    b"PARE": "a Parquet file that is encrypted: write it without encryption",
    b"FEA1": "a Feather file of version 1: write it as version 2, or as Parquet",
    b"PK\x03\x04": "a zip archive (or a spreadsheet, or a PyTorch checkpoint): export the rows as JSONL or CSV",
    b"PK\x05\x06": "an empty zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word file: export the rows as CSV",
    b"BZh": "a bzip2 file: unpack it, or compress it as .gz or .zst",
    b"\xfd7zXZ\0": "an xz file: unpack it, or compress it as .gz or .zst",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive: unpack it",
    b"Rar!": "a RAR archive: unpack it",
    b"\x04\x22\x4d\x18": "an lz4 file: unpack it, or compress it as .gz or .zst",
    b"%PDF": "a PDF file: training needs rows of text",
    b"{\\rtf": "an RTF document: training needs rows of text",
    b"SQLite format 3\0": "an SQLite database: export the rows as CSV or JSONL",
    b"\x89HDF": "an HDF5 file: export the rows as Parquet or JSONL",
    b"ORC": "an ORC file: export the rows as Parquet",
    b"Obj\x01": "an Avro file: export the rows as Parquet or JSONL",
    b"\x93NUMPY": "a NumPy array: training needs rows of text",
    b"GGUF": "a GGUF model: this is not a dataset",
    b"\x89PNG": "a PNG image: training needs rows of text",
    b"\xff\xd8\xff": "a JPEG image: training needs rows of text",
    b"\x7fELF": "a binary file (a program)",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself: fetch it with git lfs pull",
}
_PICKLE = re.compile(rb"\x80[\x02-\x05]")
_SAFETENSORS = re.compile(rb".{2}[\0-\x7f]\0{5}\s*\{\"", re.DOTALL)
_CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1a\x1c-\x1f]")
_PAGE = re.compile(rb"<(!|\?|[a-zA-Z])")
_LIST_KEYS = ("data", "rows", "train", "items", "examples", "records", "dataset", "results", "samples")
"""Keys under which people put the rows of a whole file."""
_FIRST_KEY = re.compile(r'\s*\{\s*"(\w+)"\s*:\s*\[\s*\{')


def format_of(head: bytes) -> RowFormat | None:
    """The format of a file that begins with these (unpacked) bytes; None for text of some other kind. Raises NotRows."""
    text = head.removeprefix(UTF8_BOM).lstrip()
    if not text.strip(b"\0"):
        raise NotRows("is empty" if not head else "has only white space" if not text else "has only NUL bytes")
    for magic, fmt in _TABLES.items():
        if _starts(head, magic):
            return fmt
    _refuse_binary(head)
    _refuse_nul(head, text)
    if _PAGE.match(text):
        raise NotRows("is an HTML or XML page, probably an error or a log-in page that was saved as data: look at it, fetch it again")
    refuse_near_miss(text.decode("utf-8", "replace"))
    if text.startswith(b"["):
        return "json"
    if text.startswith(b"{"):
        _refuse_single_object(text.decode("utf-8", "replace"), len(head) < HEAD)
        return "jsonl"
    if b"\r" in text.strip() and b"\n" not in text:
        raise NotRows("has the line ends of old Macintosh files (CR alone): save it with LF or CRLF")
    lines = [line.lstrip() for line in text.split(b"\n")[:20]]
    objects = sum(line.startswith(b'{"') for line in lines)
    if objects * 2 < len(lines) and looks_like_csv(head):
        return "csv"
    return "jsonl" if objects else None


def _starts(head: bytes, magic: bytes) -> bool:
    """A text may begin with the letters of a magic number: ORCID, PARENT."""
    return head.startswith(magic) and not (magic.isalnum() and b"\0" not in head and not _CONTROL.search(head))


def _refuse_binary(head: bytes) -> None:
    for magic, what in _MAGIC.items():
        if _starts(head, magic):
            raise NotRows(f"is {what}")
    if _SAFETENSORS.match(head):
        raise NotRows("is a safetensors file: these are a model's weights, not a dataset")
    if _PICKLE.match(head):
        raise NotRows("is a Python pickle, which is never opened because it can run code: export the rows as JSONL or Parquet")
    if head[257:262] == b"ustar":
        raise NotRows("is a tar archive: unpack it and name one of its files")


def _refuse_nul(head: bytes, text: bytes) -> None:
    """A NUL in a text is a matter of its line; many of them, or other control characters too, are not text."""
    start = head[:4096]
    if b"\0" not in start:
        return
    even, odd = start[0:200:2].count(0), start[1:200:2].count(0)
    if abs(even - odd) * 8 > min(len(start), 200):  # every other byte of UTF-16
        raise NotRows(f"is {_UTF16}")
    if start.count(0) * 2 > len(start) or (_CONTROL.search(start) and not text.startswith((b"{", b"["))):
        raise NotRows("is a binary file (it has NUL bytes)")


def _refuse_single_object(text: str, whole: bool) -> None:
    """One JSON object that holds all rows, or objects over several lines."""
    first_line, _, rest = text.partition("\n")
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError) as exc:  # a number of too many digits is a ValueError
        _refuse_cut_object(text, first_line, exc)
        return
    if end <= len(first_line):
        key = _list_key(value, _LIST_KEYS)
        if key and not rest.strip() and whole:
            raise _holds_rows(key)
        return
    more = text[end:].strip()
    if (key := _list_key(value, tuple(value))) and not more:
        raise _holds_rows(key)
    raise _pretty()


def _refuse_cut_object(text: str, first_line: str, exc: Exception) -> None:
    """An object that goes on beyond what was read."""
    if (first := _FIRST_KEY.match(text)) and first[1] in _LIST_KEYS:
        raise _holds_rows(first[1])
    goes_on = isinstance(exc, json.JSONDecodeError) and exc.pos >= len(text) - 1
    if first_line.strip() == "{" or (goes_on and len(first_line) < len(text) // 2):
        raise _pretty()


def _list_key(value: Any, keys: tuple[str, ...]) -> str:
    """The key of an object under which its rows are."""
    rows = [key for key in keys if isinstance(inner := value.get(key), list) and inner and isinstance(inner[0], dict)]
    return next((key for key in rows if key not in ("messages", "conversations", "tools")), "")


def _holds_rows(key: str) -> NotRows:
    way = f"jq -c '.{key}[]' FILE > rows.jsonl"
    return NotRows(f"is one JSON object that holds the rows under the key {key!r}: write them one per line ({way})")


def _pretty() -> NotRows:
    return NotRows("holds JSON objects that go over several lines: write one object per line (jq -c . FILE > rows.jsonl)")
