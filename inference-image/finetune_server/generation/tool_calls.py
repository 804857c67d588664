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
"""What decides where a call ends: what a backslash escapes is skipped, quotes begin and end strings."""


@dataclass(frozen=True)
class ToolCall:
    """A complete call."""

    name: str
    arguments: str
    """JSON text of an object."""
    id: str = field(default_factory=lambda: f"call_{uuid.uuid4().hex[:24]}")


class ToolCallReader:
    """Tells calls and text apart. What it says does not depend on how the text was cut into pieces.

    White space beside a call belongs to neither; a call that is no JSON is text, its markers with it.
    """

    def __init__(self, *, one_call: bool = False) -> None:
        self.calls = 0
        """Calls so far."""
        self._one_call = one_call
        self._text = ""
        """What is not passed on yet."""
        self._gap = ""
        """White space before the call that is being read."""
        self._inside = False
        self._scanned = 0
        """Of a call's text: what no later piece changes the meaning of."""
        self._in_string = False
        """Whether JSON is inside a string there: an end marker in it is one of the argument's words."""
        self._after_call = False
        """Nothing but white space came after the last call."""

    @property
    def full(self) -> bool:
        """True when no more is to come: a call is there, and it shall be the only one."""
        return self._one_call and self.calls > 0

    def push(self, piece: str) -> list[str | ToolCall]:
        """Texts and calls that are complete now."""
        self._text += piece
        found = []
        while not self.full and (part := self._next()) is not None:
            found.append(part)
        return [part for part in found if part]

    def flush(self) -> list[str | ToolCall]:
        """What is left at the end; the last call may lack its end marker."""
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
        """Text up to a call, or as much as cannot be a call's beginning; None when there is nothing to say yet."""
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
        """White space after a call is left out."""
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
        """Where the end marker is. Goes on where it stopped: an answer may hold a thousand markers in a string that never ends."""
        settled = len(self._text) - len(CLOSE) - 1
        for found in TURNS.finditer(self._text, self._scanned):
            if found[0] == CLOSE and not self._in_string:
                return found.start()
            if found[0] != CLOSE and found.start() > settled:  # a backslash may still turn out to stand before an end marker
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
    """The first position from which the text may go on to become a call's marker."""
    return next((i for i in range(max(0, len(text) - len(OPEN) + 1), len(text)) if OPEN.startswith(text[i:])), len(text))


def parsed(body: str) -> ToolCall | None:
    """The call, or None for what is none."""
    call = called(body)
    return None if call is None else ToolCall(call.name, json.dumps(call.arguments, ensure_ascii=False))
