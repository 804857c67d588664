"""Which characters of a rendered conversation the assistant said. Knows no tokens.

Found by the difference of two renderings: message i is what `render(messages[:i + 1])` has after
`render(messages[:i], add_generation_prompt=True)`. That needs no knowledge of a template, but holds only where each rendering
begins with the one before, which is checked for every message. Where it does not hold, the template's own generation blocks
say it; without those each answer becomes an example of its own, whose text ends with it.
"""

from typing import NamedTuple

from finetune_text.chat_template import TemplateRefusal
from finetune_text.markers import Markers
from finetune_text.span import Span
from finetune_trainer.data.tokens.template import ExampleTemplate
from finetune_trainer.tasks.conversation import Conversation, Message


class Rendered(NamedTuple):
    """A text and what of it is to be learned."""

    text: str
    spans: list[Span]


class NotPrefixPreserving(Exception):
    """The template changes earlier text when the conversation goes on; the text says at which message."""


class WordsLeftOut(Exception):
    """The template does not write what the assistant said; the text says what is missing and what to do."""


def by_difference(template: ExampleTemplate, row: Conversation, markers: Markers) -> Rendered:
    """The conversation's text and what of it the assistant said, each with its end-of-turn marker.

    Raises NotPrefixPreserving, WordsLeftOut and TemplateRefusal.
    """
    whole = template.render(row.messages, row.tools)
    return Rendered(whole, [answer(template, row, index, whole, markers) for index in supervised(row)])


def answer(template: ExampleTemplate, row: Conversation, index: int, whole: str, markers: Markers) -> Span:
    """What message `index` is in the conversation's text."""
    last = index == len(row.messages) - 1
    try:
        until = whole if last else template.render(row.messages[: index + 1], row.tools)
        before = template.render(row.messages[:index], row.tools, add_generation_prompt=True)
    except TemplateRefusal as exc:
        raise NotPrefixPreserving(f"what comes before the end of messages[{index}] cannot be rendered alone: {exc}") from exc
    check_prefix(before, until, f"the prompt before messages[{index}] is not what the message's own text begins with")
    said = markers.trim(until[len(before) :])
    check_prefix(before + said, whole, f"messages[{index}] is rendered differently once other messages follow it")
    check_words(said, row.messages[index], f"messages[{index}]")
    end = len(before) + len(said)
    return Span(len(before), end if said.endswith(markers.all) else end + len(markers.stop_at(whole, end)))


def by_blocks(template: ExampleTemplate, row: Conversation, markers: Markers) -> list[Rendered] | None:
    """The same by the template's generation blocks; None where there is not one for each of the assistant's messages.

    An answer whose prompt is not what its conversation has before it becomes an example of its own, behind that prompt. Raises
    WordsLeftOut.
    """
    whole, blocks = template.render(row.messages, row.tools), template.generated(row.messages, row.tools)
    answers = [index for index, message in enumerate(row.messages) if message.role == "assistant"]
    if not blocks or len(blocks) != len(answers):
        return None
    spans, apart = [], []
    for index in supervised(row):
        before = prompt_before(template, row, index)
        span = of_block(row, index, whole, blocks[answers.index(index)], markers, before)
        if before in ("", whole[: span.start]):
            spans.append(span)
        else:
            apart.append(Rendered(before + whole[span.start : span.end], [Span(len(before), len(before) + span.end - span.start)]))
    return [*([Rendered(whole, spans)] if spans else []), *apart]


def prompt_before(template: ExampleTemplate, row: Conversation, index: int) -> str:
    """What a server asks where message `index` is the answer; empty where the template does not take the messages before it alone."""
    try:
        return template.render(row.messages[:index], row.tools, add_generation_prompt=True)
    except TemplateRefusal:
        return ""


def of_block(row: Conversation, index: int, whole: str, block: Span, markers: Markers, before: str) -> Span:
    """A generation block without the part of it that the prompt has already, and with its end-of-turn marker."""
    start = block.start + shared_length(before[block.start :], whole[block.start : block.end], markers.added)
    said = markers.trim(whole[start : block.end])
    end = start + len(said)
    if not said.endswith(markers.all):
        end += len(next((marker for marker in markers.all if whole.startswith(marker, end)), ""))
    check_words(whole[start:end], row.messages[index], f"messages[{index}]")
    return Span(start, end)


def shared_length(prompt: str, block: str, added: tuple[str, ...]) -> int:
    """Characters of a block that the prompt has said already: all of the prompt, or what ends with an added token."""
    same = (a == b for a, b in zip(prompt, block, strict=False))
    common = prompt[: next((index for index, equal in enumerate(same) if not equal), min(len(prompt), len(block)))]
    return len(common) if common == prompt else max((common.rfind(token) + len(token) for token in added if token in common), default=0)


def by_turns(template: ExampleTemplate, row: Conversation, markers: Markers) -> list[Rendered]:
    """An example for each answer, which ends with it. Raises NotPrefixPreserving."""
    found = []
    for index in supervised(row):
        part = Conversation(row.messages[: index + 1], row.tools)
        whole = template.render(part.messages, part.tools)
        found.append(Rendered(whole, [answer(template, part, index, whole, markers)]))
    return found


def supervised(row: Conversation) -> list[int]:
    """Which messages are to be learned."""
    return [index for index, message in enumerate(row.messages) if message.supervised]


def check_prefix(prefix: str, text: str, otherwise: str) -> None:
    """Raises NotPrefixPreserving unless `text` begins with `prefix`."""
    if not text.startswith(prefix):
        raise NotPrefixPreserving(otherwise)


def check_words(said: str, message: Message, name: str) -> None:
    """Raises WordsLeftOut for an answer that is not in its text; thoughts are the template's own affair."""
    words = (message.content or "").rpartition("</think>")[2].strip()
    if words not in said:
        also = ", which has tool_calls as well: remove it there" if message.tool_calls else ""
        raise WordsLeftOut(f"leaves out the content of {name}{also}")
    if any(call.function.name not in said for call in message.tool_calls or ()):
        raise WordsLeftOut(f"leaves out tool_calls of {name}")
