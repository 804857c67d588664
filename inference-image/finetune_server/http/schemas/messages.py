"""The messages of a chat completion's body."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, ValidationInfo, model_validator

from finetune_server.http.errors import ApiError, branch
from finetune_server.http.schemas.tools import Call, StrictModel

Role = Literal["system", "developer", "user", "assistant", "tool"]
NOTHING: tuple[object, ...] = (None, [])
"""Clients return an earlier answer with its empty fields: {"refusal": null, "tool_calls": null, ...}."""
MAX_MESSAGES = 2048
MAX_PARTS = 1024
MAX_CALLS = 128
MAX_FIELDS = 64


def text_of(content: object) -> object:
    """A list of text parts becomes one text, one line each; other values are left to the next check."""
    if not isinstance(content, list):
        return content
    if len(content) > MAX_PARTS:
        raise ValueError(f"a message has at most {MAX_PARTS} parts, not {len(content)}")
    texts = []
    for number, part in enumerate(content):
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            kind = part.get("type") if isinstance(part, dict) else type(part).__name__
            raise ValueError(f"part {number} is {kind!r}; only content parts of type 'text' are supported")
        texts.append(part["text"])
    return "\n".join(texts)


def unless_it_calls(content: str | None, info: ValidationInfo) -> str | None:
    """Raises ValueError for a message without content and calls."""
    if content is None and not info.data.get("tool_calls"):
        raise ValueError("only an assistant message with 'tool_calls' may be without content")
    return content


class Message(StrictModel):
    """Fields of all messages."""

    role: Role
    name: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_empty_fields(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if len(value) > MAX_FIELDS:
            raise ValueError(f"a message has at most {MAX_FIELDS} fields, not {len(value)}")
        return {key: item for key, item in value.items() if item not in NOTHING or key == "content"}


class TextMessage(Message):
    """A message of the system or the user."""

    content: Annotated[str, BeforeValidator(text_of)]

    def for_template(self) -> dict[str, Any]:
        """In the form of chat templates: OpenAI's `developer` is their `system`."""
        role = "system" if self.role == "developer" else self.role
        return {"role": role, "content": self.content} | ({"name": self.name} if self.name else {})


class ToolMessage(TextMessage):
    """The result of a call."""

    tool_call_id: str

    def for_template(self) -> dict[str, Any]:
        """Including the id of the call."""
        return super().for_template() | {"tool_call_id": self.tool_call_id}


class AssistantMessage(Message):
    """An earlier answer."""

    tool_calls: Annotated[list[Call], Field(max_length=MAX_CALLS)] | None = None
    content: Annotated[str | None, BeforeValidator(text_of), AfterValidator(unless_it_calls), Field(validate_default=True)] = None

    def for_template(self) -> dict[str, Any]:
        """Including its calls."""
        calls = {"tool_calls": [call.for_template() for call in self.tool_calls]} if self.tool_calls else {}
        return {"role": self.role, "content": self.content} | ({"name": self.name} if self.name else {}) | calls


def kind_of(value: object) -> str:
    """The type of a message by its role; other values are validated, and refused, as a text message."""
    role = value.get("role") if isinstance(value, dict) else None
    return branch(role if role in ("tool", "assistant") else "text")


AnyMessage = Annotated[
    Annotated[TextMessage, Tag(branch("text"))]
    | Annotated[AssistantMessage, Tag(branch("assistant"))]
    | Annotated[ToolMessage, Tag(branch("tool"))],
    Discriminator(kind_of),
]


def check_answers(messages: Sequence[AnyMessage]) -> None:
    """Raises ApiError unless each call is answered by one of the messages that directly follow, and each answer has a call."""
    waiting: Counter[str] = Counter()
    for index, message in enumerate(messages):
        if isinstance(message, ToolMessage):
            if message.tool_call_id not in waiting:
                says = f"{message.tool_call_id!r} matches no unanswered tool call of the preceding assistant message"
                raise wrong_message(f"messages[{index}].tool_call_id", says)
            waiting[message.tool_call_id] -= 1
            if not waiting[message.tool_call_id]:
                del waiting[message.tool_call_id]
            continue
        check_no_call_waits(waiting, index - 1)
        if isinstance(message, AssistantMessage):
            waiting = Counter(call.id for call in message.tool_calls or [])
    check_no_call_waits(waiting, len(messages) - 1)


def check_no_call_waits(waiting: Counter[str], index: int) -> None:
    """Raises ApiError if a call has no answer."""
    if waiting:
        says = f"call {next(iter(waiting))!r} has no answer: after its message, one with the role 'tool' must follow for each call"
        raise wrong_message(f"messages[{index}]", says)


def wrong_message(param: str, says: str) -> ApiError:
    """400 for a message."""
    return ApiError(400, f"Invalid value for '{param}': {says}.", param=param, code="invalid_value")
