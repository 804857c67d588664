"""Conversations to text by a chat template, and what of the text the assistant said."""

from collections.abc import Callable
from typing import Any

from finetune_text.chat_template import ChatTemplate
from finetune_text.markers import Markers
from finetune_text.span import Span
from finetune_trainer.data.tokens.skeleton import Skeletons
from finetune_trainer.data.tokens.spans import NotPrefixPreserving, Rendered, by_blocks, by_difference, by_turns
from finetune_trainer.data.tokens.template import ExampleTemplate
from finetune_trainer.tasks.conversation import Conversation
from finetune_trainer.tasks.rows import Row


class ChatRenderer:
    """Renders rows as conversations; `conversation_of` makes one of a row that is not one."""

    def __init__(self, template: ChatTemplate, markers: Markers, conversation_of: Callable[[Any], Conversation] = lambda row: row) -> None:
        self.conversation = conversation_of
        self.template = ExampleTemplate(template)
        self.markers = markers
        self.skeletons = Skeletons(self.template, markers)
        self.by_blocks = 0
        """Rows whose answers only the template's generation blocks could tell."""
        self.by_turns = 0
        """Rows that became an example for each answer."""
        self.without_end = 0
        """Texts that got an end-of-text token, because the template ends an answer with none."""
        self.why = ""
        """Of the first row that the difference of renderings does not tell."""

    def render(self, row: Row) -> list[Rendered]:
        """The conversation's text, or one text for each answer."""
        return [self._ended(part) for part in self._rendered(self.conversation(row))]

    def _rendered(self, row: Conversation) -> list[Rendered]:
        fitting = self.skeletons.fit(row)
        if fitting is not None:
            return [fitting]
        try:
            return [by_difference(self.template, row, self.markers)]
        except NotPrefixPreserving as exc:
            found = self._otherwise(row)
            self.why = self.why or str(exc)
            return found

    def _ended(self, part: Rendered) -> Rendered:
        """An answer at the end of the text that has no end marker gets one, or a model would never learn to stop."""
        text, end = part.text, self.markers.end
        if not end or not part.spans or part.spans[-1].end != len(text) or text.endswith(self.markers.all):
            return part
        self.without_end += 1
        return Rendered(text + end, [*part.spans[:-1], Span(part.spans[-1].start, len(text) + len(end))])

    def _otherwise(self, row: Conversation) -> list[Rendered]:
        blocks = by_blocks(self.template, row, self.markers)
        if blocks is not None:
            self.by_blocks += 1
            return blocks
        turns = by_turns(self.template, row, self.markers)
        self.by_turns += 1
        return turns

    def prompt(self, row: Row) -> str:
        """The conversation up to where the assistant begins its last message."""
        chat = self.conversation(row)
        last = max(index for index, message in enumerate(chat.messages) if message.role == "assistant")
        return self.template.render(chat.messages[:last], chat.tools, add_generation_prompt=True)

    def whole(self, row: Row) -> str:
        """The conversation's text, with an end."""
        chat = self.conversation(row)
        text = self.template.render(chat.messages, chat.tools)
        return text if text.rstrip().endswith(self.markers.all) else text + self.markers.end
