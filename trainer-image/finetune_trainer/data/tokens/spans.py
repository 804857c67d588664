"""Which characters of a rendered conversation the assistant said. Knows no tokens.

Found by the difference of two renderings: message i is what `render(messages[:i + 1])` has after
`render(messages[:i], add_generation_prompt=True)`. That needs no knowledge of a template, but holds only where each rendering
begins with the one before, which is checked for every message. Where it does not hold, the template's own generation blocks
say it; without those each answer becomes an example of its own, whose text ends with it.
"""

from typing import NamedTuple

from finetune_trainer.data.rows.types import Conversation
from finetune_trainer.data.tokens.template import ChatTemplate, Span, TemplateRefusal


class Rendered(NamedTuple):
    """A text and what of it is to be learnt."""

    text: str
    spans: list[Span]


class NotPrefixPreserving(Exception):
    """The template changes earlier text when the conversation goes on; the text says at which message."""


def by_difference(template: ChatTemplate, row: Conversation, end_markers: tuple[str, ...]) -> Rendered:
    """The conversation's text and what of it the assistant said, each with its end-of-turn marker.

    White space after the marker (ChatML's line end) is left out: a model never has to say it. Raises
    NotPrefixPreserving and TemplateRefusal.
    """
    whole = template.render(row.messages, row.tools)
    return Rendered(whole, [answer(template, row, index, whole, end_markers) for index in supervised(row)])


def answer(template: ChatTemplate, row: Conversation, index: int, whole: str, end_markers: tuple[str, ...]) -> Span:
    """What message `index` is in the conversation's text."""
    last = index == len(row.messages) - 1
    try:
        until = whole if last else template.render(row.messages[: index + 1], row.tools)
        before = template.render(row.messages[:index], row.tools, add_generation_prompt=True)
    except TemplateRefusal as exc:
        raise NotPrefixPreserving(f"what comes before the end of messages[{index}] cannot be rendered alone: {exc}") from exc
    check_prefix(before, until, f"the prompt before messages[{index}] is not what the message's own text begins with")
    check_prefix(until, whole, f"messages[{index}] is rendered differently once other messages follow it")
    return Span(len(before), len(before) + len(without_tail(whole[len(before) : len(until)], end_markers)))


def by_blocks(template: ChatTemplate, row: Conversation, end_markers: tuple[str, ...]) -> Rendered | None:
    """The same by the template's generation blocks; None where there is not one for each of the assistant's messages."""
    whole, blocks = template.render(row.messages, row.tools), template.generated(row.messages, row.tools)
    said = [message for message in row.messages if message.role == "assistant"]
    if not blocks or len(blocks) != len(said):
        return None
    return Rendered(
        whole, [with_marker(whole, block, end_markers) for block, message in zip(blocks, said, strict=True) if message.supervised]
    )


def by_turns(template: ChatTemplate, row: Conversation, end_markers: tuple[str, ...]) -> list[Rendered]:
    """An example for each answer, which ends with it. Raises NotPrefixPreserving."""
    parts = [Conversation(row.messages[: index + 1], row.tools) for index in supervised(row)]
    found = []
    for part in parts:
        whole = template.render(part.messages, part.tools)
        found.append(Rendered(whole, [answer(template, part, len(part.messages) - 1, whole, end_markers)]))
    return found


def supervised(row: Conversation) -> list[int]:
    """Which messages are to be learnt."""
    return [index for index, message in enumerate(row.messages) if message.supervised]


def check_prefix(prefix: str, text: str, otherwise: str) -> None:
    """Raises NotPrefixPreserving unless `text` begins with `prefix`."""
    if not text.startswith(prefix):
        raise NotPrefixPreserving(otherwise)


def without_tail(said: str, end_markers: tuple[str, ...]) -> str:
    """Cuts the white space after an end-of-turn marker; without a marker the white space itself ends the turn and stays."""
    stripped = said.rstrip()
    return stripped if stripped.endswith(end_markers) else said


def with_marker(whole: str, block: Span, end_markers: tuple[str, ...]) -> Span:
    """A generation block up to and with its end-of-turn marker, which some authors leave outside."""
    said = without_tail(whole[block.start : block.end], end_markers)
    end = block.start + len(said)
    if not said.endswith(end_markers):
        marker = next((marker for marker in end_markers if whole.startswith(marker, end)), "")
        end += len(marker)
    return Span(block.start, end)
