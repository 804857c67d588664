"""Rows through a chat template: their messages and tools become those of OpenAI's API. Knows no tokens."""

from collections.abc import Sequence
from typing import Any

import msgspec

from finetune_text.chat_template import ChatTemplate
from finetune_text.control_text import SAID_BY_OTHERS
from finetune_text.span import Span
from finetune_trainer.tasks.conversation import Message, Tool, ToolCall


class ExampleTemplate:
    """A chat template for rows. All its methods raise TemplateRefusal where it does not take the messages."""

    def __init__(self, template: ChatTemplate) -> None:
        self.template = template

    def render(self, messages: Sequence[Message], tools: Sequence[Tool] | None = None, *, add_generation_prompt: bool = False) -> str:
        """The text of a conversation, up to where the assistant begins with `add_generation_prompt`."""
        return self.template.render(plain_messages(messages), plain_tools(tools), add_generation_prompt=add_generation_prompt)

    def generated(self, messages: Sequence[Message], tools: Sequence[Tool] | None = None) -> list[Span]:
        """Where in the conversation's text the template's generation blocks are; none for a template without them."""
        return self.template.generated(plain_messages(messages), plain_tools(tools))

    def contents(self, messages: Sequence[Message]) -> list[str]:
        """What the template is given to write."""
        control = self.template.control
        return [control.hide(message.content or "") if message.role in SAID_BY_OTHERS else message.content or "" for message in messages]


def plain_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages as OpenAI's API has them."""
    return [plain_message(message) for message in messages]


def plain_message(message: Message) -> dict[str, Any]:
    """A message as OpenAI's API has it."""
    plain: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.name is not None:
        plain["name"] = message.name
    if message.tool_call_id is not None:
        plain["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        plain["tool_calls"] = [plain_call(call) for call in message.tool_calls]
    return plain


def plain_call(call: ToolCall) -> dict[str, Any]:
    """A call as OpenAI's API has it; the server writes the same keys in the same order."""
    known = {} if call.id is None else {"id": call.id}
    return {"function": {"name": call.function.name, "arguments": call.function.arguments}, **known, "type": "function"}


def plain_tools(tools: Sequence[Tool] | None) -> list[dict[str, Any]] | None:
    """Tools as OpenAI's API has them."""
    return [{"type": "function", **msgspec.to_builtins(tool)} for tool in tools] if tools else None
