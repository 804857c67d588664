"""Rows as a prompt and an answer, without a chat template."""

from collections.abc import Callable
from typing import Any

from finetune_text.span import Span
from finetune_trainer.data.tokens.spans import Rendered
from finetune_trainer.tasks.rows import Row


class TextRenderer:
    """Prompt and answer as they are; `texts_of` makes the two of a row."""

    def __init__(self, texts_of: Callable[[Any], tuple[str, str]]) -> None:
        self.texts = texts_of

    def render(self, row: Row) -> list[Rendered]:
        """One text, of which the answer is learned."""
        prompt, answer = self.texts(row)
        return [Rendered(prompt + answer, [Span(len(prompt), len(prompt) + len(answer))])]

    def prompt(self, row: Row) -> str:
        """What the model is given."""
        return self.texts(row)[0]

    def whole(self, row: Row) -> str:
        """Both together."""
        return "".join(self.texts(row))
