"""Tool calls in an answer's text: <tool_call>{"name": ..., "arguments": {...}}</tool_call>, as Hermes and Qwen2.5 write them.

The text arrives in pieces. Knows no tokens and no HTTP.
"""

import json
import re
import uuid
from dataclasses import dataclass, field

from finetune_text.call_text import CLOSE, OPEN, called

MARKERS = (OPEN, CLOSE)
TURNS = re.compile(rf'\\(?!{CLOSE}).|"|{CLOSE}', re.DOTALL)
"""Determines where a call ends: escaped characters are skipped, quotes start and end strings."""


@dataclass(frozen=True)
class ToolCall:
    """A complete call."""

    name: str
    arguments: str
    """JSON text of an object."""
    id: str = field(default_factory=lambda: f"call_{uuid.uuid4().hex[:24]}")


class ToolCallReader:
    """Separates calls from text. The result does not depend on how the text is divided into pieces.

    White space next to a call is dropped; a call that is not valid JSON is text, including its markers.
    """

    def __init__(self, *, one_call: bool = False) -> None:
        self.calls = 0
        """Number of calls so far."""
        self._one_call = one_call
        self._text = ""
        """Text that is not passed on yet."""
        self._gap = ""
        """White space before the current call."""
        self._inside = False
        self._scanned = 0
        """Characters of the current call that are scanned; later pieces do not change their meaning."""
        self._in_string = False
        """Whether that position is inside a JSON string, where an end marker is part of an argument."""
        self._after_call = False
        """Only white space has followed the last call."""

    @property
    def full(self) -> bool:
        """True if the answer is complete: it has a call and may have only one."""
        return self._one_call and self.calls > 0

    def push(self, piece: str) -> list[str | ToolCall]:
        """The texts and calls that the piece completes."""
        self._text += piece
        found = []
        while not self.full and (part := self._next()) is not None:
            found.append(part)
        return [part for part in found if part]

    def flush(self) -> list[str | ToolCall]:
        """The rest at the end; the last call may lack its end marker."""
        if self.full:
            return []
        rest, self._text = self._text, ""
        if not self._inside:
            said = self._said(rest)
            return [said] if said else []
        self._inside = False
        return [self._call(rest) or self._gap + OPEN + rest]

    def _next(self) -> str | ToolCall | None:
        return self._read_call() if self._inside else self._read_text()

    def _read_text(self) -> str | None:
        """The text before a call, or as much as cannot be the start of one; None if there is none yet."""
        before, marker, rest = self._text.partition(OPEN)
        if marker:
            said = before.rstrip()
            self._gap, self._text, self._inside = before[len(said) :], rest, True
            self._scanned, self._in_string = 0, False
            return self._said(said)
        safe = self._text[: possible_start(self._text)].rstrip()
        self._text = self._text[len(safe) :]
        return self._said(safe) or None

    def _said(self, text: str) -> str:
        """Without white space after a call."""
        said = text.lstrip() if self._after_call else text
        self._after_call = self._after_call and not said
        return said

    def _read_call(self) -> str | ToolCall | None:
        end = self._end_of_call()
        if end is None:
            return None
        body, self._text, self._inside = self._text[:end], self._text[end + len(CLOSE) :], False
        return self._call(body) or self._gap + OPEN + body + CLOSE

    def _end_of_call(self) -> int | None:
        """Position of the end marker. Resumes where it stopped: an answer may contain many markers in a string that never ends."""
        settled = len(self._text) - len(CLOSE) - 1
        for found in TURNS.finditer(self._text, self._scanned):
            if found[0] == CLOSE and not self._in_string:
                return found.start()
            if found[0] != CLOSE and found.start() > settled:  # a backslash may turn out to precede an end marker
                settled = found.start()
                break
            self._in_string ^= found[0] == '"'
            self._scanned = found.end()
        self._scanned = max(self._scanned, settled)
        return None

    def _call(self, body: str) -> ToolCall | None:
        call = parsed(body)
        self._after_call = call is not None
        self.calls += call is not None
        return call


def possible_start(text: str) -> int:
    """The first position where a call's marker may have begun."""
    return next((i for i in range(max(0, len(text) - len(OPEN) + 1), len(text)) if OPEN.startswith(text[i:])), len(text))


def parsed(body: str) -> ToolCall | None:
    """The call, or None if the text is not one."""
    call = called(body)
    return None if call is None else ToolCall(call.name, json.dumps(call.arguments, ensure_ascii=False))
