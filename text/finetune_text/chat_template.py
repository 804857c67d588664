"""A model's chat template, rendered as transformers' apply_chat_template does it, in a sandbox. Knows no tokens.

Messages and tools are as in OpenAI's API: the arguments of a call are JSON text.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from finetune_text.control_text import ControlText
from finetune_text.span import Span
from finetune_text.tool_form import MessageObject, tool_form

_OPENS, _CLOSES = "\U000f5a01", "\U000f5a02"
"""What marks a generation block's text while it is looked for: private use characters that no file has."""


class InvalidTemplate(Exception):
    """The template is not valid Jinja; the text says why and in which line."""


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

    `special_tokens` are the names that templates use (bos_token, eos_token, ...). `control` knows what users may not spell.
    `clock` tells what strftime_now formats.
    """

    def __init__(
        self,
        source: str,
        special_tokens: Mapping[str, str],
        control: ControlText | None = None,
        clock: Callable[[], datetime] = datetime.now,
    ) -> None:
        self.source = source
        self.control = control or ControlText()
        self.clock = clock
        self._special_tokens = dict(special_tokens)
        try:
            self._template = environment(clock).from_string(source)
        except jinja2.TemplateError as exc:
            raise InvalidTemplate(f"{exc} (line {getattr(exc, 'lineno', '?')} of the template)") from exc
        self.tools = tool_form(self._rendered)
        """What it makes of tools."""

    def render(
        self, messages: Sequence[MessageObject], tools: Sequence[MessageObject] | None = None, *, add_generation_prompt: bool = False
    ) -> str:
        """The text of a conversation; with `add_generation_prompt` up to where the assistant begins: a prompt.

        Raises TemplateRefusal when the template does not take these messages.
        """
        return self._adapted(messages, tools, add_generation_prompt=add_generation_prompt)

    def prompt(self, messages: Sequence[MessageObject], tools: Sequence[MessageObject] | None = None) -> str:
        """What the model is asked after these messages. Raises TemplateRefusal."""
        return self._adapted(messages, tools, add_generation_prompt=True)

    def generated(self, messages: Sequence[MessageObject], tools: Sequence[MessageObject] | None = None) -> list[Span]:
        """Where in the conversation's text the template's generation blocks are; none for a template without them."""
        pieces = self._adapted(messages, tools, generation_opens=_OPENS, generation_closes=_CLOSES).split(_OPENS)
        spans, start = [], len(pieces[0])
        for piece in pieces[1:]:
            said, _, rest = piece.partition(_CLOSES)
            spans.append(Span(start, start + len(said)))
            start += len(said) + len(rest)
        return spans

    def _adapted(self, messages: Sequence[MessageObject], tools: Sequence[MessageObject] | None, **more: Any) -> str:
        try:
            return self._render([self.control.hide_in(self.tools.message(message)) for message in messages], tools, **more)
        except Exception as exc:  # a template is a program of the model's author: it may raise anything
            raise TemplateRefusal(str(exc) or type(exc).__name__) from exc

    def _rendered(self, messages: Sequence[MessageObject], tools: Sequence[MessageObject] | None) -> str | None:
        try:
            return self._render(messages, tools)
        except Exception:  # see above
            return None

    def _render(self, messages: Sequence[MessageObject], tools: Sequence[MessageObject] | None, **more: Any) -> str:
        known = {"add_generation_prompt": False, **self._special_tokens, **more}
        return self._template.render(messages=messages, tools=tools or None, documents=None, **known)


def environment(clock: Callable[[], datetime]) -> ImmutableSandboxedEnvironment:
    """Jinja as transformers sets it up."""
    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[GenerationBlock, loopcontrols])
    made.filters["tojson"] = to_json
    made.globals["raise_exception"] = raise_exception
    made.globals["strftime_now"] = lambda form: clock().strftime(form)
    return made


def raise_exception(message: str) -> None:
    """What templates call to refuse a conversation."""
    raise jinja2.TemplateError(message)


def to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None, sort_keys: bool = False) -> str:
    """Jinja's own filter escapes HTML; templates expect plain JSON."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
