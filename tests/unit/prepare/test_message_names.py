"""Rows whose messages have names that the chat template does not write are reported."""

import pytest

from finetune_text.chat_template import ChatTemplate
from finetune_trainer.data.tokens.template import ExampleTemplate
from finetune_trainer.prepare.examples.message_names import MessageNames
from finetune_trainer.tasks.conversation import Conversation, Message
from tests.unit.data.tokens.templates import CHATML

WRITES = "{% for m in messages %}<{{ m.role }}{% if m.name %} {{ m.name }}{% endif %}>{{ m.content }}{% endfor %}"
NAMED = Conversation([Message("user", "Hi", name="Ada"), Message("assistant", "Hello")])
BARE = Conversation([Message("user", "Hi"), Message("assistant", "Hello")])
TOOL = Conversation([Message("user", "Hi"), Message("tool", "1", name="stock"), Message("assistant", "Hello")])


@pytest.mark.parametrize(
    "template, rows, says",
    [
        (CHATML, [BARE, TOOL], ""),
        (CHATML, [BARE, NAMED], "1 row has messages with a name (first: rows.jsonl, line 2), which"),
        (CHATML, [NAMED, BARE, NAMED], "2 rows have messages with a name (first: rows.jsonl, line 1), which"),
        (WRITES, [NAMED], ""),
        (None, [NAMED], ""),
    ],
)
def test_names_that_are_not_learnt_are_told_of(template: str | None, rows: list[Conversation], says: str) -> None:
    """How many rows there are, and where the first is; not where the template writes names."""
    seen = MessageNames(ExampleTemplate(ChatTemplate(template, {})) if template else None)
    for line, row in enumerate(rows, start=1):
        seen.saw("rows.jsonl", f"line {line}", row)
    assert [note.startswith(says) for note in seen.notes()] == ([True] if says else [])
