"""Conversations to text by a chat template, and what of the text the assistant said."""

from finetune_trainer.data.rows.types import Conversation, Message, Row
from finetune_trainer.data.tokens.skeleton import Skeletons
from finetune_trainer.data.tokens.spans import NotPrefixPreserving, Rendered, by_blocks, by_difference, by_turns
from finetune_trainer.data.tokens.template import ChatTemplate, TemplateRefusal


class ChatRenderer:
    """Renders rows of task chat. `end_markers` are the special tokens that may end a turn."""

    framed = False

    def __init__(self, template: ChatTemplate, end_markers: tuple[str, ...]) -> None:
        self.template = template
        self.end_markers = end_markers
        self.skeletons = Skeletons(template, end_markers)
        self.by_blocks = 0
        """Rows whose answers only the template's generation blocks could tell."""
        self.by_turns = 0
        """Rows that became an example for each answer."""
        self.why = ""
        """Of the first of these rows."""

    def render(self, row: Row) -> list[Rendered]:
        """The conversation's text, or one text for each answer."""
        assert isinstance(row, Conversation)
        fitting = self.skeletons.fit(row)
        if fitting is not None:
            return [fitting]
        try:
            return [by_difference(self.template, row, self.end_markers)]
        except NotPrefixPreserving as exc:
            found = self._otherwise(row)
            self.why = self.why or str(exc)
            return found

    def _otherwise(self, row: Conversation) -> list[Rendered]:
        blocks = by_blocks(self.template, row, self.end_markers)
        if blocks is not None:
            self.by_blocks += 1
            return [blocks]
        turns = by_turns(self.template, row, self.end_markers)
        self.by_turns += 1
        return turns

    def prompt(self, row: Row) -> str:
        """The conversation up to where the assistant begins its last message."""
        assert isinstance(row, Conversation)
        last = max(index for index, message in enumerate(row.messages) if message.role == "assistant")
        return self.template.render(row.messages[:last], row.tools, add_generation_prompt=True)

    def whole(self, row: Row) -> str:
        """The conversation's text."""
        assert isinstance(row, Conversation)
        return self.template.render(row.messages, row.tools)

    def end_of_turn(self) -> str:
        """The marker that the template ends an answer with; empty where it ends it with ordinary text."""
        try:
            text = self.template.render([Message("user", "Hi"), Message("assistant", "Hello")]).rstrip()
        except TemplateRefusal:
            return ""
        return max((marker for marker in self.end_markers if text.endswith(marker)), key=len, default="")


def end_markers(special: set[str], eos: str) -> tuple[str, ...]:
    """What may end a turn: the tokenizer's special tokens."""
    return tuple(sorted(marker for marker in special | {eos} if marker.strip()))
