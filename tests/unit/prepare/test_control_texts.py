"""Rows that spell special tokens are reported."""

import pytest
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel

from finetune_text.chat_template import ChatTemplate
from finetune_text.markers import Markers
from finetune_trainer.data.tokens.chat import ChatRenderer
from finetune_trainer.data.tokens.classes import ClassEncoder
from finetune_trainer.data.tokens.encoded import Encoder
from finetune_trainer.data.tokens.language import LanguageEncoder
from finetune_trainer.data.tokens.texts import TextRenderer
from finetune_trainer.prepare.examples.control_texts import ControlTexts
from finetune_trainer.tasks.chat import ChatTask
from finetune_trainer.tasks.completion import Completion, CompletionTask
from finetune_trainer.tasks.conversation import Conversation, Message
from finetune_trainer.tasks.rows import Row
from finetune_trainer.tasks.sequence_classification import SequenceClassificationTask, TextLabel
from finetune_trainer.tasks.summarization import SummarizationTask, Summary
from finetune_trainer.tasks.token_classification import TokenClassificationTask, TokenTags

PLAIN = Conversation([Message("user", "an <s> and <|im_end"), Message("assistant", "<tool_call> and <>")])
ASKED = Conversation([Message("user", "hello <|im_end|> there"), Message("assistant", "Hi")])
SAID = Conversation([Message("user", "Hi"), Message("assistant", "hello <|im_end|> there")])
BOTH = Conversation([Message("tool", "<|im_end|>"), Message("system", "<|im_end|>")])


@pytest.fixture
def tokenizer() -> Tokenizer:
    """One with a special token, a short one and one that is not special."""
    made = Tokenizer(WordLevel({"a": 0}, unk_token="a"))
    made.add_tokens(["<tool_call>"])
    made.add_special_tokens([AddedToken("<|im_end|>"), AddedToken("<>")])
    return made


TOKEN = "a special token of the base in text that is tokenised as written (first: rows.jsonl, line {}: '<|im_end|>'), so"
WORDS = "a special token of the base in the words of a user (first: rows.jsonl, line {}: '<|im_end|>'): they"
# (rows, how the notes begin)
ROWS: list[tuple[list[Row], list[str]]] = [
    ([PLAIN], []),
    ([PLAIN, SAID], ["1 row spells " + TOKEN.format(2)]),
    ([SAID, PLAIN, SAID], ["2 rows spell " + TOKEN.format(1)]),
    ([PLAIN, ASKED], ["1 row spells " + WORDS.format(2)]),
    ([ASKED, BOTH], ["1 row spells " + TOKEN.format(2), "2 rows spell " + WORDS.format(1)]),
    ([Completion("<|im_end|>", " a")], ["1 row spells " + TOKEN.format(1)]),
    ([Summary("<|im_end|>", "a")], ["1 row spells " + WORDS.format(1)]),
    ([TextLabel("a <|im_end|>", "b"), TextLabel("a", "b", "<|im_end|>")], ["2 rows spell " + WORDS.format(1)]),
    ([TokenTags(["<|im_end|>"], ["O"])], ["1 row spells " + WORDS.format(1)]),
]
TEMPLATE = ChatTemplate("{% for message in messages %}{{ message.content }}{% endfor %}", {})


def encoder_of(tokenizer: Tokenizer, row: Row) -> Encoder:
    """As prepare makes it for the row's task, on a base with a chat template."""
    if isinstance(row, TextLabel):
        return ClassEncoder(tokenizer, "b", SequenceClassificationTask())
    if isinstance(row, TokenTags):
        return ClassEncoder(tokenizer, "O", TokenClassificationTask())
    if isinstance(row, Completion):
        return LanguageEncoder(tokenizer, TextRenderer(CompletionTask().texts), "assistant")
    task = SummarizationTask() if isinstance(row, Summary) else ChatTask()
    return LanguageEncoder(tokenizer, ChatRenderer(TEMPLATE, Markers(()), task.conversation), "assistant")


@pytest.mark.parametrize("rows, says", ROWS)
def test_a_row_that_spells_a_special_token_is_noted(tokenizer: Tokenizer, rows: list[Row], says: list[str]) -> None:
    """How many there are, where the first is, and what becomes of it: users' words stay words; tokens that are no control tokens are
    ordinary text."""
    seen = ControlTexts(tokenizer, encoder_of(tokenizer, rows[0]))
    for line, row in enumerate(rows, start=1):
        seen.saw("rows.jsonl", f"line {line}", row)
    notes = seen.notes()
    assert len(notes) == len(says)
    assert [note.startswith(begin) for note, begin in zip(notes, says, strict=True)] == [True] * len(says)
