"""Many rows at once that are right at first sight, which nearly all rows are.

Only JSONL in the task's own layout comes here. What is not plainly right is no judgement: `Shape.read` looks again, row by row. So
these checks may refuse a right row (tools, weights, a key with an escape), but must never let a wrong one pass. They look at the
columns of a whole block instead of at its rows, because a step of the interpreter costs more than a comparison.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise, repeat
from operator import attrgetter, eq
from typing import Annotated, Any, cast

import msgspec
import numpy as np
import numpy.typing as npt

from finetune_api.resources.finetune_job import Task
from finetune_text.blank import BLANK
from finetune_trainer.data.rows.build import Layout
from finetune_trainer.data.rows.lossless import Bytes, is_whole, quotes_of
from finetune_trainer.tasks.explain.labels import label_text
from finetune_trainer.tasks.explain.tags import bio_problems, tag_texts
from finetune_trainer.tasks.rows import Completion, Conversation, Row, Summary, TextLabel, TokenTags, identity

Sizes = npt.NDArray[np.int64]
_MESSAGES, _ROLE, _CONTENT = attrgetter("messages"), attrgetter("role"), attrgetter("content")
_SYSTEM, _USER, _ASSISTANT, _TOOL = range(4)
_encode_lines = msgspec.json.Encoder(order="deterministic").encode_lines


_Text = Annotated[str, msgspec.Meta(min_length=1)]


class _System(msgspec.Struct, tag="system", tag_field="role", forbid_unknown_fields=True, gc=False):
    content: _Text


class _User(msgspec.Struct, tag="user", tag_field="role", forbid_unknown_fields=True, gc=False):
    content: _Text


class _Assistant(msgspec.Struct, tag="assistant", tag_field="role", forbid_unknown_fields=True, gc=False):
    content: _Text


class _Chat(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What most conversations are: no tools, names or weights. Encoded as a Conversation is."""

    messages: list[_System | _User | _Assistant]


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

_DECODE_PLAIN = msgspec.json.Decoder(_Chat).decode_lines
_DECODE_CHAT = msgspec.json.Decoder(Conversation).decode_lines
_CODES: dict[Any, int] = {_System: _SYSTEM, _User: _USER, _Assistant: _ASSISTANT}
_CODES |= {"system": _SYSTEM, "user": _USER, "assistant": _ASSISTANT, "tool": _TOOL}


@dataclass(frozen=True)
class Found:
    """Rows that are right."""

    identities: list[bytes]
    rows: Iterable[Row]
    turns: Sizes | None = None
    """Messages of each conversation."""


@dataclass(frozen=True)
class _Later:
    """Rows that are made when somebody wants them: a survey does not."""

    data: bytes

    def __iter__(self) -> Iterator[Row]:
        return iter(_DECODE_CHAT(self.data))


class Plain:
    """Reads lines of one layout."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._decode = msgspec.json.Decoder(_TYPES[layout.task]).decode_lines
        judges: dict[Task, Callable[[list[Any]], Sequence[Row] | None]] = {
            "chat": _conversations,
            "completion": _texts if layout.plain_text else _pairs,
            "summarization": _pairs,
            "sequence-classification": self._labelled,
            "token-classification": self._tagged,
        }
        self._rows = judges[layout.task]

    def read(self, data: bytes) -> Found | None:
        """The rows of whole lines; None where any of them needs a closer look."""
        if self.layout.task == "chat" and (found := _chats(data)):
            return found
        decoded = _decoded(self._decode, data)
        rows = self._rows(decoded) if decoded else None
        if not decoded or rows is None:
            return None
        bare = quotes_of(np.frombuffer(_encode_lines(decoded), np.uint8))
        return Found(list(map(identity, rows)), rows) if is_whole(np.frombuffer(data, np.uint8), len(rows), bare) else None

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
        tags_of_rows = [tag_texts(row.tags) for row in found]
        if any(not any(tags) for tags in tags_of_rows):
            return None
        rows = [TokenTags(row.tokens, tags) for row, tags in zip(found, tags_of_rows, strict=True)]
        if any(not row.tokens or len(row.tokens) != len(row.tags) for row in rows):
            return None
        if not _say_something([token for row in rows for token in row.tokens]) or not _say_something(
            [tag for row in rows for tag in row.tags if tag is not None]
        ):
            return None
        if self.layout.bio and any(next(bio_problems("", row.tags), None) for row in rows):
            return None
        return rows


def _say_something(texts: list[str]) -> bool:
    """True when none is empty or blank; also for no texts at all."""
    return all(map(str.strip, texts, repeat(BLANK)))


def _pairs(found: list[Any]) -> list[Any] | None:
    first, second = type(found[0]).__struct_fields__
    given, said = list(map(attrgetter(first), found)), list(map(attrgetter(second), found))
    if not _say_something(given) or not _say_something(said):
        return None
    return None if any(map(eq, map(str.strip, given), map(str.strip, said))) else found


def _texts(found: list[Any]) -> list[Any] | None:
    """Rows of plain text, none of which has a prompt."""
    return None if any(row.prompt for row in found) or not _say_something([row.completion for row in found]) else found


def _chats(data: bytes) -> Found | None:
    """Conversations of nothing but roles and contents."""
    found = _decoded(_DECODE_PLAIN, data)
    sizes = _sizes_in_order(found, type) if found else None
    if not found or sizes is None:
        return None
    quotes = 2 * len(found) + 8 * int(sizes.sum())
    return Found(list(map(identity, found)), _Later(data), sizes) if is_whole(np.frombuffer(data, np.uint8), len(found), quotes) else None


def _conversations(found: list[Conversation]) -> list[Conversation] | None:
    """Conversations with names and weights, too."""
    for row in found:
        if row.tools is not None or row.parallel_tool_calls is not None:
            return None
        for message in row.messages:
            mine = message.role == "assistant"
            if message.tool_calls is not None or message.tool_call_id is not None or (message.weight is not None and not mine):
                return None
            if not message.content or (message.name is not None and not message.name.strip()):
                return None
        if not any(message.supervised for message in row.messages):
            return None
    return None if _sizes_in_order(found, _ROLE) is None else found


def _sizes_in_order(found: list[Any], role: Callable[[Any], Any]) -> Sizes | None:
    """Messages of each conversation when all of them are in order and say something; `role` tells a message's."""
    lists = list(map(_MESSAGES, found))
    messages = list(chain.from_iterable(lists))
    if not all(map(str.strip, map(_CONTENT, messages), repeat(BLANK))):
        return None
    roles = np.frombuffer(bytes(map(_CODES.__getitem__, map(role, messages))), np.uint8)
    sizes = np.fromiter(map(len, lists), np.int64, len(lists))
    return sizes if in_order(roles, sizes) else None


def in_order(roles: Bytes, sizes: Sizes) -> bool:
    """True when every conversation is: maybe a system message, then the user's, the last the assistant's; no tools, no two answers
    in a row.

    `roles` are those of all messages, one conversation after the other; `sizes` says how many each has.
    """
    if sizes.min() < 2 or (roles == _TOOL).any():
        return False
    ends = np.cumsum(sizes)
    first = roles[ends - sizes]
    then = np.where(first == _SYSTEM, roles[ends - sizes + 1], first)
    alone = np.count_nonzero(roles == _SYSTEM) == np.count_nonzero(first == _SYSTEM)
    answers = roles == _ASSISTANT  # a conversation begins with none, so two in a row are of the same one
    return bool(alone and (then == _USER).all() and answers[ends - 1].all() and not (answers[1:] & answers[:-1]).any())


def _decoded(decode: Callable[[bytes], list[Any]], data: bytes) -> list[Any] | None:
    try:
        return decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
