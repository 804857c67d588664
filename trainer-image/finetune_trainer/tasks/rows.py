"""What a row of each task is, once it is right. Knows neither files nor the other spellings that files use.

All texts are checked elsewhere; a row that exists is whole: no empty texts, roles in order, calls that fit their tools.
"""

from typing import Any, Literal

import msgspec

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


class Completion(msgspec.Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    """A row of task completion."""

    prompt: str
    completion: str


class Summary(msgspec.Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    """A row of task summarization. With a template `document` is the rendered prompt, which is the whole user message then."""

    document: str
    summary: str


class TextLabel(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True, gc=False):
    """A row of task sequence-classification."""

    text: str
    label: str | list[str]
    """A list is multi-label: every label that holds, sorted, maybe none."""
    text_pair: str | None = None


class TokenTags(msgspec.Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    """A row of task token-classification: a tag for each token."""

    tokens: list[str]
    tags: list[str | None]
    """None: nothing is learnt at this token, as -100 says in files that were made for a trainer."""


Row = Conversation | Completion | Summary | TextLabel | TokenTags

canonical = msgspec.json.Encoder(order="deterministic").encode
"""Row -> the same bytes for the same content, however the row was written."""
identity = msgspec.msgpack.Encoder(order="deterministic").encode
"""The same in fewer steps, for what is computed of every row and shown to nobody: its fingerprint."""
