"""Many rows at once that are right at first sight, which nearly all rows are.

Only JSONL in the task's own layout comes here. What is not plainly right is no judgement: `Shape.read` looks again, row by row. So
these checks may refuse a right row (tools, weights, a key with an escape), but must never let a wrong one pass. They look at the
columns of a whole block instead of at its rows, because a step of the interpreter costs more than a comparison.
"""

from collections.abc import Callable, Sequence
from itertools import chain, pairwise
from operator import attrgetter, eq
from typing import Any, cast

import msgspec
import numpy as np
import numpy.typing as npt

from finetune_api.resources.finetune_job import Task
from finetune_trainer.data.rows.build import Layout
from finetune_trainer.data.rows.explain.labels import label_text
from finetune_trainer.data.rows.explain.tags import bio_problems
from finetune_trainer.data.rows.types import Completion, Conversation, Row, Summary, TextLabel, TokenTags

Bytes = npt.NDArray[np.uint8]
_MESSAGES, _TOOLS = attrgetter("messages"), attrgetter("tools", "parallel_tool_calls")
_ROLE, _CONTENT, _REST = attrgetter("role"), attrgetter("content"), attrgetter("weight", "name", "tool_calls", "tool_call_id")
_SYSTEM, _USER, _ASSISTANT, _TOOL = range(4)
_CODE = {"system": _SYSTEM, "user": _USER, "assistant": _ASSISTANT, "tool": _TOOL}.__getitem__
_encode_lines = msgspec.json.Encoder(order="deterministic").encode_lines
_QUOTE, _LINE_END, _BRACE = b'"\n{'


class _Labelled(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    text: str
    label: str | int | bool | list[str | int | bool]
    text_pair: str | None = None


class _Tagged(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    tokens: list[str]
    tags: list[str | int]


_TYPES: dict[Task, Any] = {
    "chat": Conversation,
    "completion": Completion,
    "summarization": Summary,
    "sequence-classification": _Labelled,
    "token-classification": _Tagged,
}


class Plain:
    """Reads lines of one layout."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._decode = msgspec.json.Decoder(_TYPES[layout.task]).decode_lines
        judges: dict[Task, Callable[[list[Any]], Sequence[Row] | None]] = {
            "chat": _conversations,
            "completion": _pairs,
            "summarization": _pairs,
            "sequence-classification": self._labelled,
            "token-classification": self._tagged,
        }
        self._rows = judges[layout.task]

    def read(self, data: bytes) -> tuple[Sequence[Row], list[bytes]] | None:
        """The rows of whole lines and their canonical texts; None where any of them needs a closer look."""
        if b"\\u0000" in data:
            return None
        try:
            found = self._decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if not found or not one_a_line(data, len(found)):
            return None
        rows = self._rows(found)
        if rows is None:
            return None
        text = _encode_lines(found)
        if _quotes(text) != _quotes(data):  # a key was there twice, or a null
            return None
        lines = (text if rows is found else _encode_lines(rows)).split(b"\n")
        lines.pop()
        return rows, lines

    def _labelled(self, found: list[_Labelled]) -> list[TextLabel] | None:
        if not _say_something([row.text for row in found]):
            return None
        pairs = [row.text_pair for row in found if row.text_pair is not None]
        multi = [isinstance(row.label, list) for row in found]
        if (pairs and not _say_something(pairs)) or any(multi) != all(multi) or self.layout.multi_label not in (None, multi[0]):
            return None
        if self.layout.multi_label is None:  # the first rows have no label that is right: let the thorough look decide
            return None
        rows = []
        for row in found:
            label = [label_text(item) for item in row.label] if isinstance(row.label, list) else label_text(row.label)
            if isinstance(label, list):
                label.sort()
                if any(a == b for a, b in pairwise(label)):
                    return None
            rows.append(TextLabel(row.text, label, row.text_pair))
        labels = [row.label for row in rows]
        return rows if _say_something(list(chain.from_iterable(labels) if multi[0] else cast(list[str], labels))) else None

    def _tagged(self, found: list[_Tagged]) -> list[TokenTags] | None:
        rows = [TokenTags(row.tokens, [label_text(tag) for tag in row.tags]) for row in found]
        if any(not row.tokens or len(row.tokens) != len(row.tags) for row in rows):
            return None
        if not _say_something([token for row in rows for token in row.tokens]) or not _say_something(
            [tag for row in rows for tag in row.tags]
        ):
            return None
        if self.layout.bio and any(next(bio_problems("", row.tags), None) for row in rows):
            return None
        return rows


def _say_something(texts: list[str]) -> bool:
    """True when none is empty or blank; also for no texts at all."""
    return all(texts) and not any(map(str.isspace, texts))


def _pairs(found: list[Any]) -> list[Any] | None:
    first, second = type(found[0]).__struct_fields__
    given, said = list(map(attrgetter(first), found)), list(map(attrgetter(second), found))
    if not _say_something(given) or not _say_something(said):
        return None
    return None if any(map(eq, map(str.strip, given), map(str.strip, said))) else found


def _conversations(found: list[Conversation]) -> list[Conversation] | None:
    messages = list(chain.from_iterable(map(_MESSAGES, found)))
    contents = list(map(_CONTENT, messages))
    if not all(contents) or any(map(str.isspace, contents)) or set(map(_TOOLS, found)) != {(None, None)}:
        return None
    if any(rest != (None, None, None, None) for rest in map(_REST, messages)):
        return None
    roles = np.frombuffer(bytes(map(_CODE, map(_ROLE, messages))), np.uint8)
    sizes = np.fromiter(map(len, map(_MESSAGES, found)), np.int64, len(found))
    return found if in_order(roles, sizes) else None


def in_order(roles: Bytes, sizes: npt.NDArray[np.int64]) -> bool:
    """True when every conversation is: maybe a system message, then the user's, the last the assistant's; no tools.

    `roles` are those of all messages, one conversation after the other; `sizes` says how many each has.
    """
    if sizes.min() < 2 or (roles == _TOOL).any():
        return False
    ends = np.cumsum(sizes)
    first = roles[ends - sizes]
    then = np.where(first == _SYSTEM, roles[ends - sizes + 1], first)
    alone = np.count_nonzero(roles == _SYSTEM) == np.count_nonzero(first == _SYSTEM)
    return bool(alone and (then == _USER).all() and (roles[ends - 1] == _ASSISTANT).all())


def one_a_line(data: bytes, rows: int) -> bool:
    """True when each of `rows` objects has a line of its own, without blank ones between."""
    array = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(array == _LINE_END)
    if len(ends) and ends[-1] == len(array) - 1:
        ends = ends[:-1]
    return bool(len(ends) + 1 == rows and array[0] == _BRACE and (array[ends + 1] == _BRACE).all())


def _quotes(data: bytes) -> int:
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == _QUOTE))
