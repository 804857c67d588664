"""What a chat template puts around the contents of conversations with the same roles, so that one rendering finds all answers.

A conversation's text is compared with its skeleton, character by character: where a template does something else with some
content, the skeleton does not fit and the slower way of spans.py is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from finetune_text.chat_template import TemplateRefusal
from finetune_text.markers import Markers
from finetune_text.span import Span
from finetune_trainer.data.tokens.spans import NotPrefixPreserving, Rendered, WordsLeftOut, by_difference
from finetune_trainer.data.tokens.template import ExampleTemplate
from finetune_trainer.tasks.conversation import Conversation, Message

_KEPT = 4096
"""Skeletons that are remembered; datasets have a few dozen."""


@dataclass(frozen=True)
class Skeleton:
    """The pieces of text between the contents, and where each answer begins and ends."""

    pieces: list[str]
    leads: list[int]
    """For each message: characters before its content that belong to the answer (Mistral's space)."""
    tails: list[int]
    """And after it: the end-of-turn marker."""

    def fit(self, whole: str, messages: Sequence[Message], contents: list[str]) -> Rendered | None:
        """The spans of a rendered conversation, whose template was given these contents; None where its text is another one."""
        if self.text(contents) != whole:
            contents = [content.strip() for content in contents]
            if self.text(contents) != whole:
                return None
        spans, position = [], 0
        for message, content, piece, lead, tail in zip(messages, contents, self.pieces, self.leads, self.tails, strict=False):
            position += len(piece)
            end = position + len(content)
            if message.role == "assistant" and message.weight != 0:
                spans.append(Span(position - lead, end + tail))
            position = end
        return Rendered(whole, spans)

    def text(self, contents: list[str]) -> str:
        """The conversation's text, if the template does nothing but put pieces around contents."""
        parts = [""] * (2 * len(contents) + 1)
        parts[::2], parts[1::2] = self.pieces, contents
        return "".join(parts)


class Skeletons:
    """The skeletons of one template."""

    def __init__(self, template: ExampleTemplate, markers: Markers) -> None:
        self.template = template
        self.markers = markers
        self._known: dict[tuple[str, ...], Skeleton | None] = {}

    def fit(self, row: Conversation) -> Rendered | None:
        """Text and spans; None for rows with tools, and where no skeleton fits. Raises TemplateRefusal."""
        if row.tools is not None or not all(map(is_plain, row.messages)):
            return None
        roles = tuple([message.role for message in row.messages])
        if roles not in self._known:
            if len(self._known) == _KEPT:
                self._known.clear()
            self._known[roles] = self._learn(roles)
        skeleton = self._known[roles]
        if skeleton is None:
            return None
        return skeleton.fit(self.template.render(row.messages), row.messages, self.template.contents(row.messages))

    def _learn(self, roles: tuple[str, ...]) -> Skeleton | None:
        """Renders a conversation of contents that are found again."""
        contents = [f"Probe{index}of{len(roles)}." for index in range(len(roles))]
        row = Conversation([Message(role, content) for role, content in zip(roles, contents, strict=True)])  # type: ignore[arg-type]
        try:
            text, spans = by_difference(self.template, row, self.markers)
        except (TemplateRefusal, NotPrefixPreserving, WordsLeftOut):
            return None
        pieces, leads, tails, rest = [], [], [], iter(spans)
        position = 0
        for role, content in zip(roles, contents, strict=True):
            start = text.find(content, position)
            if start < 0 or text.count(content) != 1:
                return None
            span = next(rest) if role == "assistant" else Span(start, start + len(content))
            if span.start < position or span.start > start or span.end < start + len(content):
                return None
            pieces.append(text[position:start])
            leads.append(start - span.start)
            position = start + len(content)
            tails.append(span.end - position)
        return Skeleton([*pieces, text[position:]], leads, tails)


def is_plain(message: Message) -> bool:
    """True for a message that is a role and a content."""
    return message.content is not None and message.tool_calls is None and message.name is None and message.tool_call_id is None
