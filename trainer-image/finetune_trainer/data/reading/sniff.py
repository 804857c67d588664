"""What a file is, judged by its first bytes: rows, or something that was mistaken for them."""

from pathlib import Path
from typing import Literal

from finetune_trainer.failure import StageFailure, invalid

Format = Literal["jsonl", "array"]
UTF8_BOM = b"\xef\xbb\xbf"
EXPECTED = 'expected JSONL: one {"messages": [...]} a line, in UTF-8'

_MAGIC = {
    b"\xff\xfe": "UTF-16 text: save it as UTF-8",
    b"\xfe\xff": "UTF-16 text: save it as UTF-8",
    b"\x1f\x8b": "a gzip file: unpack it",
    b"PK\x03\x04": "a zip archive (or a spreadsheet): export the rows as JSONL",
    b"PAR1": "a Parquet file: export the rows as JSONL",
    b"ARROW1": "an Arrow file: export the rows as JSONL",
    b"BZh": "a bzip2 file: unpack it",
    b"\x28\xb5\x2f\xfd": "a zstd file: unpack it",
    b"%PDF": "a PDF file",
}


def sniff(path: Path, name: str, param: str) -> Format:
    """The file's format; raises StageFailure InvalidDataset for what cannot hold rows. `name` is for the message."""
    with open(path, "rb") as file:
        head = file.read(4096)

    def refuse(what: str) -> StageFailure:
        return invalid("InvalidDataset", f"{name} {what}", param=param)

    if not head.removeprefix(UTF8_BOM).strip():
        raise refuse(f"is empty; {EXPECTED}")
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            raise refuse(f"is {what}; {EXPECTED}")
    if b"\0" in head:
        utf16 = head[1:200:2].count(0) > 50 or head[0:200:2].count(0) > 50
        raise refuse(f"is {'UTF-16 text: save it as UTF-8' if utf16 else 'a binary file (it has NUL bytes)'}; {EXPECTED}")
    text = head.removeprefix(UTF8_BOM).lstrip()
    if text[:100].lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise refuse(f"is an HTML or XML page, probably an error or a log-in page that was saved as data; {EXPECTED}")
    return "array" if text.startswith(b"[") else "jsonl"
