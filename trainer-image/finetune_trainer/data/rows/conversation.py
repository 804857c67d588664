"""The rows that training takes today: text only. Goes when nobody imports it any more; the types are in rows.types."""

import msgspec

from finetune_trainer.data.rows.types import Conversation, Message, canonical

__all__ = ["ROLES", "Conversation", "Message", "canonical", "decode", "in_order"]
ROLES = ("system", "user", "assistant")

decode = msgspec.json.Decoder(Conversation).decode
"""bytes -> Conversation; raises msgspec.DecodeError (ValidationError among them)."""


def in_order(conversation: Conversation) -> bool:
    """True for: at most one system message, which comes first; then the user's; the last is the assistant's.

    Also False for an empty content, a weight on someone else's message, or nothing to learn.
    """
    messages = conversation.messages
    if not messages or conversation.tools is not None or conversation.parallel_tool_calls is not None:
        return False
    if any(message.role == "tool" or message.name or message.tool_calls is not None or message.tool_call_id for message in messages):
        return False
    first = 1 if messages[0].role == "system" else 0
    if messages[-1].role != "assistant" or len(messages) <= first or messages[first].role != "user":
        return False
    learns = False
    for message in messages[first:]:
        learns = learns or message.supervised
        if message.role == "system" or (message.weight is not None and message.role != "assistant"):
            return False
    return learns and all(plain_text(message.content) for message in messages) and messages[0].weight is None


def plain_text(content: str | None) -> bool:
    """True when a content holds something to read and no NUL character."""
    return content is not None and bool(content) and not content.isspace() and "\0" not in content
