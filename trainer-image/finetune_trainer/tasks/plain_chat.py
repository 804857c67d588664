"""Conversations that are right at first sight, many at a time (plain.py)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Any, ClassVar

import msgspec
import numpy as np

from finetune_trainer.tasks.conversation import Conversation
from finetune_trainer.tasks.lossless import Bytes, is_whole
from finetune_trainer.tasks.plain import Found, PlainLines, PlainSizes, decoded, say_something
from finetune_trainer.tasks.rows import Identities, Row

_MESSAGES, _CONTENT, _CODE = attrgetter("messages"), attrgetter("content"), attrgetter("code")
_SYSTEM, _USER, _ASSISTANT, _TOOL = range(4)


class _System(msgspec.Struct, tag="system", tag_field="role", forbid_unknown_fields=True, gc=False):
    content: str
    code: ClassVar[int] = _SYSTEM


class _User(msgspec.Struct, tag="user", tag_field="role", forbid_unknown_fields=True, gc=False):
    content: str
    code: ClassVar[int] = _USER


class _Assistant(msgspec.Struct, tag="assistant", tag_field="role", forbid_unknown_fields=True, gc=False):
    content: str
    code: ClassVar[int] = _ASSISTANT


class _Chat(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What most conversations are: no tools, names or weights. Encoded as a Conversation is."""

    messages: list[_System | _User | _Assistant]


_DECODE_PLAIN = msgspec.json.Decoder(_Chat).decode_lines
_DECODE_CHAT = msgspec.json.Decoder(Conversation).decode_lines
_CODES = {"system": _SYSTEM, "user": _USER, "assistant": _ASSISTANT, "tool": _TOOL}


@dataclass(frozen=True)
class _Later:
    """Rows that are made when they are asked for: the profile does not ask."""

    data: bytes

    def __iter__(self) -> Iterator[Row]:
        return iter(_DECODE_CHAT(self.data))


class PlainChats(PlainLines):
    """Reads conversations."""

    def __init__(self) -> None:
        super().__init__(Conversation, _conversations)

    def read(self, data: bytes) -> Found | None:
        """Most conversations have nothing but roles and contents, which is tried first."""
        return _bare(data) or super().read(data)


def _bare(data: bytes) -> Found | None:
    """Conversations of nothing but roles and contents."""
    found = decoded(_DECODE_PLAIN, data)
    sizes = _sizes_in_order(found, _CODE) if found else None
    if not found or sizes is None:
        return None
    quotes = 2 * len(found) + 8 * int(sizes.sum())
    return Found(Identities(found), _Later(data), sizes) if is_whole(np.frombuffer(data, np.uint8), len(found), quotes) else None


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
    return None if _sizes_in_order(found, lambda message: _CODES[message.role]) is None else found


def _sizes_in_order(found: list[Any], code: Callable[[Any], int]) -> PlainSizes | None:
    """Messages of each conversation when all of them are in order and say something; `code` is that of a message's role."""
    lists = list(map(_MESSAGES, found))
    messages = list(chain.from_iterable(lists))
    if not say_something(list(map(_CONTENT, messages))):
        return None
    roles = np.frombuffer(bytes(map(code, messages)), np.uint8)
    sizes = np.fromiter(map(len, lists), np.int64, len(lists))
    return sizes if in_order(roles, sizes) else None


def in_order(roles: Bytes, sizes: PlainSizes) -> bool:
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
