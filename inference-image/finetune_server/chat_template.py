"""Renders a model's chat template exactly as transformers' apply_chat_template does, in a sandbox. Knows no tokens."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from finetune_server.model_directory import UnusableModel, VerifiedArtifact
from finetune_server.tokenizer import Tokenizer
from finetune_server.tool_form import Message, tool_form

TEMPLATE_FILE = "chat_template.jinja"


class TemplateRefused(Exception):
    """The template does not take these messages."""


class ChatTemplate:
    """A compiled template with the special tokens that it may name."""

    def __init__(self, source: str, special_tokens: Mapping[str, str]) -> None:
        self._template = environment().from_string(source)
        self._special_tokens = special_tokens
        self.tools = tool_form(self._rendered)
        """What it makes of tools."""

    def render(self, messages: Sequence[Message], tools: Sequence[Message] | None = None) -> str:
        """The prompt, ready for the assistant's answer. Raises TemplateRefused with the template's own words and the roles.

        Messages and tools are as in OpenAI's API.
        """
        try:
            return self._render([self.tools.message(message) for message in messages], tools, add_generation_prompt=True)
        except Exception as error:  # a template is a program of the model's author: it may raise anything
            roles = ", ".join(message["role"] for message in messages)
            raise TemplateRefused(f"the model's chat template refuses these messages (roles: {roles}): {error}") from error

    def _rendered(self, messages: Sequence[Message], tools: Sequence[Message] | None) -> str | None:
        try:
            return self._render(messages, tools, add_generation_prompt=False)
        except Exception:  # see above
            return None

    def _render(self, messages: Sequence[Message], tools: Sequence[Message] | None, *, add_generation_prompt: bool) -> str:
        more = {"add_generation_prompt": add_generation_prompt, "tools": tools or None, "documents": None}
        return self._template.render(messages=messages, **more, **self._special_tokens)


class GenerationBlock(jinja2.ext.Extension):
    """{% generation %} marks the assistant's words for training; here it stands for its content."""

    tags = {"generation"}

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        """The block's statements without the block."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def read_chat_template(artifact: VerifiedArtifact, tokenizer: Tokenizer) -> ChatTemplate | None:
    """The template beside the graph or in tokenizer_config.json; None for a model without one. Raises UnusableModel."""
    path = artifact.optional_file(TEMPLATE_FILE)
    source = path.read_text() if path else default_template(tokenizer.config.get("chat_template"))
    if source is None:
        return None
    try:
        return ChatTemplate(source, tokenizer.special_tokens)
    except jinja2.TemplateSyntaxError as error:
        name = path or artifact.folder / "tokenizer_config.json"
        where = f"{name}: chat template, line {error.lineno}"
        raise UnusableModel(f"{where}: {error.message}; correct it and publish the model again") from error


def default_template(value: object) -> str | None:
    """tokenizer_config.json holds one template, or a list of named ones of which `default` is meant."""
    if isinstance(value, list):
        return next((named["template"] for named in value if named.get("name") == "default"), None)
    return value if isinstance(value, str) else None


def environment() -> ImmutableSandboxedEnvironment:
    """Jinja as transformers sets it up."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationBlock, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda format: datetime.now().strftime(format)
    return environment


def to_json(
    value: Any, ensure_ascii: bool = False, indent: int | None = None, separators: tuple[str, str] | None = None, sort_keys: bool = False
) -> str:
    """Jinja's own tojson escapes HTML, which a prompt must not be."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def raise_exception(message: str) -> None:
    """How a template refuses."""
    raise jinja2.TemplateError(message)
