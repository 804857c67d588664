"""A JSON array: an element a row. Finds the elements by their brackets and quotes, without parsing them."""

import re
from collections.abc import Iterator

from finetune_trainer.data.reading.reader import TextReader
from finetune_trainer.data.reading.record import Limits, Record, Unreadable
from finetune_trainer.data.reading.stream import UTF8_BOM, ByteStream

_ONE = "a file holds one array, or JSONL with one object per line"
_SPACE = b" \t\r\n"
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_FLAT = rb'[^"\[\]{}]++'


def _nested(depth: int) -> bytes:
    """A pattern for a value in brackets that holds others, `depth` deep at most."""
    inner = rb"|" + _nested(depth - 1) if depth else b""
    return rb"[\[{](?:" + _FLAT + rb"|" + _STRING + inner + rb")*+[\]}]"


_VALUE = re.compile(_nested(6), re.DOTALL)
"""Most rows whole, in one step of C."""
_AFTER = re.compile(rb"[ \t\r\n]*+([,\]])")
_BEFORE = re.compile(rb"[ \t\r\n]*+")
_OUTSIDE = re.compile(rb'["\[\]{},]')
_INSIDE = re.compile(rb'["\\]')


class _Text:
    """The stretch of the array that is in memory: from `start`, where the current row begins, to `end`."""

    def __init__(self, stream: ByteStream, limits: Limits) -> None:
        self.stream, self.limits = stream, limits
        self.data = stream.read(limits.block).removeprefix(UTF8_BOM)
        self.start = 0
        self.line, self.row = 1, 1

    def more(self) -> bool:
        """Reads on, forgetting what is before `start`; False at the end of the file."""
        block = self.stream.read(self.limits.block)
        if len(self.data) - self.start > self.limits.row:
            raise Unreadable(f"{self.where} is longer than {self.limits.row >> 20} MiB")
        self.data, self.start = self.data[self.start :] + block, 0
        return bool(block)

    def move(self, position: int) -> None:
        """Lets the row begin at `position`."""
        self.line += self.data.count(b"\n", self.start, position)
        self.start = position

    def skip_space(self) -> None:
        """Moves to the next character that is not white space."""
        while True:
            match = _BEFORE.match(self.data, self.start)
            assert match is not None
            self.move(match.end())
            if self.start < len(self.data) or not self.more():
                return

    @property
    def where(self) -> str:
        return Record(b"", self.line, self.row).where


class JsonArray(TextReader):
    """A FormatReader."""

    def cut(self, stream: ByteStream) -> Iterator[Record]:
        return _elements(_Text(stream, self.limits))


def _elements(text: _Text) -> Iterator[Record]:
    """The elements of an array. Raises Unreadable where the brackets do not add up."""
    text.skip_space()
    if text.data[text.start : text.start + 1] != b"[":
        raise Unreadable(f"line {text.line}: a JSON array begins with [")
    text.move(text.start + 1)
    text.skip_space()
    while True:
        end, sign = _element(text)
        content = text.data[text.start : end].rstrip(_SPACE)
        if content or sign == b"," or text.row > 1:
            yield Record(content, text.line, text.row)
        text.move(end + 1)
        text.row += 1
        text.skip_space()
        if sign == b"]":
            break
    if text.start < len(text.data):
        if text.data[text.start : text.start + 1] == b"[":
            raise Unreadable(f"line {text.line}: there is another array after the first: {_ONE}")
        raise Unreadable(f"line {text.line}: there is more after the array's closing bracket: {_ONE}")


def _element(text: _Text) -> tuple[int, bytes]:
    """Where the element at `start` ends, and the comma or bracket that ends it."""
    if (value := _VALUE.match(text.data, text.start)) and (after := _AFTER.match(text.data, value.end())):
        return after.end() - 1, after[1]
    return _search(text)


def _search(text: _Text) -> tuple[int, bytes]:
    """As `_element`, bracket by bracket: for rows that are not whole in memory, nested deeply, or broken."""
    position, depth, inside = text.start, 0, False
    while True:
        match = (_INSIDE if inside else _OUTSIDE).search(text.data, position)
        if match is None:
            seen = max(position, len(text.data)) - text.start  # a backslash may have been the last byte
            if not text.more():
                raise Unreadable(f"{text.where} is not closed: the file ends within it")
            position = text.start + seen
            continue
        position, char = match.end(), match[0]
        if inside:
            inside = char != b'"'
            position += inside  # what follows a backslash means nothing here
        elif char == b'"':
            inside = True
        elif char in b"[{":
            depth += 1
        elif depth == 0 and char == b"}":
            raise Unreadable(f"{text.where}: a closing brace without an opening one")
        elif depth == 0:
            return match.start(), char
        elif char != b",":
            depth -= 1
