"""A conversation: what a row of task chat is once it is right, and how it is made from a record in OpenAI's layout.

All texts are checked elsewhere; a conversation that exists is whole: no empty texts, roles in order, calls that fit their tools.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from finetune_trainer.tasks.explain.chat import is_one_answer
from finetune_trainer.tasks.explain.content import says_nothing, text_of
from finetune_trainer.tasks.explain.weights import weight_of
from finetune_trainer.tasks.layouts.context import Context

ONE_ANSWER = "the assistant's text and the tool calls in the message after it are learned as one message, as the served model returns them"
TWO_ANSWERS = (
    "the assistant has two messages in a row: each is learned as an answer of its own, after which the model stops; "
    "join them if they are one answer"
)
Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant", "tool")


class FunctionCall(msgspec.Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    """Which function the assistant calls, and with what."""

    name: str
    arguments: str
    """JSON text of an object."""


class ToolCall(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True, gc=False):
    """One call of a tool."""

    function: FunctionCall
    id: str | None = None
    """What the answering tool message refers to; None where the file has none: then answers follow in the calls' order."""
    type: Literal["function"] = "function"


class Function(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True, gc=False):
    """A function that the assistant may call."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """JSON Schema of its arguments; None: it takes none."""
    strict: bool | None = None


class Tool(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True, gc=False):
    """An entry of `tools`."""

    function: Function
    type: Literal["function"] = "function"


class Message(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True, gc=False):
    """One turn."""

    role: Role
    """OpenAI's developer is system here."""
    content: str | None = None
    """None for an assistant's message that only calls tools; empty for a tool that returned nothing."""
    weight: Literal[0, 1] | None = None
    """Of an assistant's message: 0 keeps it out of the loss."""
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    """Of an assistant's message; more than one are parallel calls."""
    tool_call_id: str | None = None
    """Of a tool's message: the call that it answers."""

    @property
    def supervised(self) -> bool:
        """True when the model is to learn it."""
        return self.role == "assistant" and self.weight != 0


class Conversation(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True, gc=False):
    """A row of task chat."""

    messages: list[Message]
    tools: list[Tool] | None = None
    parallel_tool_calls: bool | None = None

    @property
    def uses_tools(self) -> bool:
        """True when tools are offered, called or answering."""
        return bool(self.tools) or any(message.tool_calls or message.role == "tool" for message in self.messages)


def conversation(row: dict[str, Any], context: Context) -> Conversation:
    """Of a row that is right."""
    tools = row.get("tools")
    return Conversation(
        [_message(message) for message in _joined(row["messages"], context)],
        [_tool(tool["function"]) for tool in tools] if tools else None,
        row.get("parallel_tool_calls"),
    )


def said(messages: Iterable[Message]) -> str:
    """What was said and called; not what system messages say, which many rows share."""
    spoken = (message for message in messages if message.role != "system")
    return "\n".join(text for m in spoken for text in (m.content, *(call.function.arguments for call in m.tool_calls or ())) if text)


def _joined(messages: list[dict[str, Any]], context: Context) -> Iterator[dict[str, Any]]:
    """The messages; an assistant's text and its calls in the message after it are one, as the served model gives them in one answer."""
    before: dict[str, Any] | None = None
    for message in messages:
        if before is None or message["role"] != "assistant" or before["role"] != "assistant":
            pass
        elif is_one_answer(before, message):
            before = {**message, "content": before["content"]}
            if not context.names.calls_are_turns:
                context.remark(ONE_ANSWER)
            continue
        else:
            context.remark(TWO_ANSWERS)
        if before is not None:
            yield before
        before = message
    if before is not None:
        yield before


def _message(message: dict[str, Any]) -> Message:
    content, calls = message.get("content"), message.get("tool_calls")
    role: Role = "system" if message["role"] == "developer" else message["role"]
    return Message(
        role,
        None if role == "assistant" and says_nothing(content) else text_of(content),
        weight_of(message),
        message.get("name"),
        [_call(call) for call in calls] if calls else None,
        message.get("tool_call_id"),
    )


def _call(call: dict[str, Any]) -> ToolCall:
    arguments = call["function"]["arguments"]
    if not isinstance(arguments, str):
        arguments = _json_text(arguments)
    return ToolCall(FunctionCall(call["function"]["name"], arguments), call.get("id"))


def _json_text(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except OverflowError:  # a whole number of more than 64 bits
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _tool(function: dict[str, Any]) -> Tool:
    return Tool(Function(function["name"], function.get("description"), function.get("parameters"), function.get("strict")))
