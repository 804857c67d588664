"""What a file is, judged by its first bytes: rows, or something that was mistaken for them."""

from finetune_api.resources.source import RowFormat
from finetune_trainer.data.reading.jsonl import UTF8_BOM

HEAD = 1 << 16
"""Bytes that are looked at."""
EXPECTED = (
    "expected JSONL (one JSON object a line, in UTF-8), a JSON array, CSV with a header line, Parquet or Arrow, plain or as .gz or .zst"
)

_UTF16 = "UTF-16 text: save it as UTF-8 (iconv -f UTF-16 -t UTF-8)"
_MAGIC = {
    b"\xff\xfe": _UTF16,
    b"\xfe\xff": _UTF16,
    b"PK\x03\x04": "a zip archive (or a spreadsheet): export the rows as JSONL",
    b"BZh": "a bzip2 file: unpack it",
    b"%PDF": "a PDF file",
}


class NotRows(Exception):
    """The file holds no rows; the text goes on after the file's name: "is empty"."""


def recognise(head: bytes) -> RowFormat:
    """The format of a file that begins with these (unpacked) bytes. Raises NotRows."""
    text = head.removeprefix(UTF8_BOM).lstrip()
    if not text:
        raise NotRows("is empty")
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            raise NotRows(f"is {what}")
    if b"\0" in head[:4096]:
        utf16 = head[1:200:2].count(0) > 50 or head[0:200:2].count(0) > 50
        raise NotRows(f"is {_UTF16 if utf16 else 'a binary file (it has NUL bytes)'}")
    if text[:100].lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise NotRows("is an HTML or XML page, probably an error or a log-in page that was saved as data")
    return "json" if text.startswith(b"[") else "jsonl"
