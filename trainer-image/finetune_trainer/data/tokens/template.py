"""The base model's chat template, rendered as transformers' apply_chat_template does it. Knows no tokens."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import jinja2
import msgspec
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from finetune_trainer.data.rows.types import Message, Tool, ToolCall

_OPENS, _CLOSES = "\U000f5a01", "\U000f5a02"
"""What marks a generation block's text while it is looked for: private use characters that no file has."""


class Span(NamedTuple):
    """Characters start to end of a text, end excluded."""

    start: int
    end: int


class TemplateRefusal(Exception):
    """The template raised an error for these messages; the text is its own."""


class GenerationBlock(Extension):
    """{% generation %} ... {% endgeneration %}: the template's author says what the assistant's words are."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The block's body between two variables, which are empty but for `generated`."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        opens, closes = (nodes.Output([nodes.Name(name, "load")]).set_lineno(line) for name in ("generation_opens", "generation_closes"))
        return [opens, *body, closes]


class ChatTemplate:
    """Renders messages to text.

    `special_tokens` are the names that templates use (bos_token, eos_token, ...). `now` is the one moment that
    strftime_now tells during a run, so that renderings of the same messages are equal.
    """

    def __init__(self, text: str, special_tokens: dict[str, str], now: datetime) -> None:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[GenerationBlock, loopcontrols])
        environment.filters["tojson"] = to_json
        environment.globals["raise_exception"] = raise_exception
        environment.globals["strftime_now"] = now.strftime
        self.text = text
        self.special_tokens = special_tokens
        self.arguments_as_text = False
        """Give the arguments of a call as JSON text instead of an object: tools.adapt finds out what the template takes."""
        self.empty_content: str | None = None
        """The content of a message that has none."""
        try:
            self._template = environment.from_string(text)
        except jinja2.TemplateError as exc:
            raise TemplateRefusal(f"{exc} (line {getattr(exc, 'lineno', '?')} of the template)") from exc

    def render(self, messages: Sequence[Message], tools: Sequence[Tool] | None = None, *, add_generation_prompt: bool = False) -> str:
        """The text of a conversation, up to where the assistant begins with `add_generation_prompt`.

        Raises TemplateRefusal when the template does not take these messages.
        """
        return self._render(messages, tools, add_generation_prompt=add_generation_prompt)

    def generated(self, messages: Sequence[Message], tools: Sequence[Tool] | None = None) -> list[Span]:
        """Where in the conversation's text the template's generation blocks are; none for a template without them."""
        pieces = self._render(messages, tools, generation_opens=_OPENS, generation_closes=_CLOSES).split(_OPENS)
        spans, start = [], len(pieces[0])
        for piece in pieces[1:]:
            said, _, rest = piece.partition(_CLOSES)
            spans.append(Span(start, start + len(said)))
            start += len(said) + len(rest)
        return spans

    def _render(self, messages: Sequence[Message], tools: Sequence[Tool] | None, **more: Any) -> str:
        plain = [self.plain(message) for message in messages]
        functions = [plain_tool(tool) for tool in tools] if tools else None
        try:
            return self._template.render(messages=plain, tools=functions, documents=None, **{**_PROMPTLESS, **self.special_tokens, **more})
        except Exception as exc:  # a template is a program of the model's author: it may raise anything
            raise TemplateRefusal(str(exc) or type(exc).__name__) from exc

    def plain(self, message: Message) -> dict[str, Any]:
        """A message as OpenAI's API has it, but for the arguments of its calls, which are objects as templates expect them."""
        plain: dict[str, Any] = {"role": message.role, "content": self.empty_content if message.content is None else message.content}
        if message.name is not None:
            plain["name"] = message.name
        if message.tool_call_id is not None:
            plain["tool_call_id"] = message.tool_call_id
        if message.tool_calls:
            plain["tool_calls"] = [self.plain_call(call) for call in message.tool_calls]
        return plain

    def plain_call(self, call: ToolCall) -> dict[str, Any]:
        """A call as OpenAI's API has it, but for its arguments; the server writes the same keys in the same order."""
        arguments = call.function.arguments if self.arguments_as_text else json.loads(call.function.arguments)
        known = {} if call.id is None else {"id": call.id}
        return {"function": {"name": call.function.name, "arguments": arguments}, **known, "type": "function"}


_PROMPTLESS = {"add_generation_prompt": False}


def plain_tool(tool: Tool) -> dict[str, Any]:
    """A tool as OpenAI's API has it."""
    return {"type": "function", **msgspec.to_builtins(tool)}


def raise_exception(message: str) -> None:
    """What templates call to refuse a conversation."""
    raise jinja2.TemplateError(message)


def to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None, sort_keys: bool = False) -> str:
    """Jinja's own filter escapes HTML; templates expect plain JSON."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
