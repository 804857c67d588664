"""The base model's chat template, rendered as transformers' apply_chat_template does it. Knows no tokens."""

import json
from datetime import datetime
from typing import Any

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from finetune_trainer.data.rows.conversation import Message


class TemplateRefusal(Exception):
    """The template raised an error for these messages; the text is its own."""


class GenerationBlock(Extension):
    """{% generation %} ... {% endgeneration %}: marks the assistant's words for other trainers; we render what is inside."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[Node]:
        """The block's body in its place."""
        next(parser.stream)
        return list(parser.parse_statements(("name:endgeneration",), drop_needle=True))


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
        self.special_tokens = special_tokens
        try:
            self._template = environment.from_string(text)
        except jinja2.TemplateError as exc:
            raise TemplateRefusal(f"{exc} (line {getattr(exc, 'lineno', '?')} of the template)") from exc

    def render(self, messages: list[Message], *, add_generation_prompt: bool = False) -> str:
        """The text of a conversation, up to where the assistant begins with `add_generation_prompt`.

        Raises TemplateRefusal when the template does not take these messages.
        """
        plain = [{"role": message.role, "content": message.content} for message in messages]
        try:
            return self._template.render(
                messages=plain, tools=None, documents=None, add_generation_prompt=add_generation_prompt, **self.special_tokens
            )
        except Exception as exc:  # a template is a program of the model's author: it may raise anything
            raise TemplateRefusal(str(exc) or type(exc).__name__) from exc


def raise_exception(message: str) -> None:
    """What templates call to refuse a conversation."""
    raise jinja2.TemplateError(message)


def to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None, sort_keys: bool = False) -> str:
    """Jinja's own filter escapes HTML; templates expect plain JSON."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
