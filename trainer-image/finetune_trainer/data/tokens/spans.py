"""Which characters of a rendered conversation the assistant said, found by the difference of two renderings.

Message i is what `render(messages[:i + 1])` has after `render(messages[:i], add_generation_prompt=True)`. That needs no
knowledge of a template, but holds only where each rendering begins with the one before, which is checked for every message.
"""

from typing import NamedTuple

from finetune_trainer.data.rows.conversation import Message
from finetune_trainer.data.tokens.template import ChatTemplate


class Span(NamedTuple):
    """Characters start to end of a text, end excluded."""

    start: int
    end: int


class NotPrefixPreserving(Exception):
    """The template changes earlier text when the conversation goes on; the text says at which message."""


def supervised_spans(template: ChatTemplate, messages: list[Message], end_markers: tuple[str, ...]) -> tuple[str, list[Span]]:
    """The conversation's text and what of it the assistant said, each with its end-of-turn marker.

    White space after the marker (ChatML's line end) is left out: a model never has to say it. Raises
    NotPrefixPreserving and TemplateRefusal.
    """
    whole = template.render(messages)
    spans = []
    for index, message in enumerate(messages):
        if message.supervised:
            until = whole if index == len(messages) - 1 else template.render(messages[: index + 1])
            before = template.render(messages[:index], add_generation_prompt=True)
            check_prefix(before, until, f"the prompt before messages[{index}] is not what the message's own text begins with")
            check_prefix(until, whole, f"messages[{index}] is rendered differently once other messages follow it")
            said = whole[len(before) : len(until)]
            spans.append(Span(len(before), len(before) + len(without_tail(said, end_markers))))
    return whole, spans


def check_prefix(prefix: str, text: str, otherwise: str) -> None:
    """Raises NotPrefixPreserving unless `text` begins with `prefix`."""
    if not text.startswith(prefix):
        raise NotPrefixPreserving(otherwise)


def without_tail(said: str, end_markers: tuple[str, ...]) -> str:
    """Cuts the white space after an end-of-turn marker; without a marker the white space itself ends the turn and stays."""
    stripped = said.rstrip()
    return stripped if stripped.endswith(end_markers) else said
