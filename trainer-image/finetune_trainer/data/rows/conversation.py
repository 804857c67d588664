"""What a row must look like: OpenAI's chat format, text only."""

from typing import Annotated, Literal

import msgspec

ROLES = ("system", "user", "assistant")


class Message(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True, gc=False):
    """One turn."""

    role: Literal["system", "user", "assistant"]
    content: str
    weight: Literal[0, 1] | None = None
    """Of an assistant's message: 0 keeps it out of the loss."""

    @property
    def supervised(self) -> bool:
        """True when the model is to learn it."""
        return self.role == "assistant" and self.weight != 0


class Conversation(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One row. The types are checked by `decode`, the order of roles by `in_order`."""

    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]


decode = msgspec.json.Decoder(Conversation).decode
"""bytes -> Conversation; raises msgspec.DecodeError (ValidationError among them)."""
canonical = msgspec.json.Encoder().encode
"""Conversation -> the same bytes for the same content, however the row was written."""


def in_order(conversation: Conversation) -> bool:
    """True for: at most one system message, which comes first; then the user's; the last is the assistant's.

    Also False for an empty content, a weight on someone else's message, or nothing to learn.
    """
    messages = conversation.messages
    first = 1 if messages[0].role == "system" else 0
    if messages[-1].role != "assistant" or len(messages) <= first or messages[first].role != "user":
        return False
    learns = False
    for message in messages[first:]:
        learns = learns or message.supervised
        if message.role == "system" or (message.weight is not None and message.role != "assistant"):
            return False
    return learns and all(plain_text(message.content) for message in messages) and messages[0].weight is None


def plain_text(content: str) -> bool:
    """True when a content holds something to read and no NUL character."""
    return bool(content) and not content.isspace() and "\0" not in content
