"""The tasks completion and summarization as texts: what the model is given, and what it shall say."""

from finetune_text.instructions import SUMMARIZE, SUMMARY_CUE
from finetune_text.span import Span
from finetune_trainer.data.tokens.chat import ChatRenderer
from finetune_trainer.data.tokens.spans import Rendered
from finetune_trainer.tasks.rows import Completion, Conversation, Message, Row, Summary


class TextRenderer:
    """Rows of task completion, and of summarization for a model without a chat template: prompt and answer as they are.

    With `instructed` a summary's document is a whole prompt already.
    """

    def __init__(self, instructed: bool = False) -> None:
        self.instructed = instructed

    def render(self, row: Row) -> list[Rendered]:
        """One text, of which the answer is learnt."""
        prompt, answer = self.pair(row)
        return [Rendered(prompt + answer, [Span(len(prompt), len(prompt) + len(answer))])]

    def prompt(self, row: Row) -> str:
        """What the model is given."""
        return self.pair(row)[0]

    def whole(self, row: Row) -> str:
        """Both together."""
        return "".join(self.pair(row))

    def pair(self, row: Row) -> tuple[str, str]:
        """What the model is given, and what it shall say."""
        if isinstance(row, Summary):
            return (row.document, row.summary) if self.instructed else (row.document + SUMMARY_CUE, f" {row.summary}")
        assert isinstance(row, Completion)
        return row.prompt, row.completion


class SummaryRenderer:
    """Rows of task summarization for a model with a chat template: the user gives a document, the assistant its summary.

    With `instructed` the document is the user's whole message already.
    """

    def __init__(self, chat: ChatRenderer, instructed: bool = False) -> None:
        self.chat = chat
        self.instruction = "" if instructed else SUMMARIZE

    def render(self, row: Row) -> list[Rendered]:
        """One conversation."""
        return self.chat.render(self.conversation(row))

    def prompt(self, row: Row) -> str:
        """Up to where the assistant begins."""
        return self.chat.prompt(self.conversation(row))

    def whole(self, row: Row) -> str:
        """The conversation's text."""
        return self.chat.whole(self.conversation(row))

    def conversation(self, row: Row) -> Conversation:
        """A summary as a chat."""
        assert isinstance(row, Summary)
        return Conversation([Message("user", self.instruction + row.document), Message("assistant", row.summary)])
