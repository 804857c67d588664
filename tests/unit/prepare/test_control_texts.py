"""Rows that spell special tokens are told of."""

import pytest
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel

from finetune_trainer.prepare.control_texts import ControlTexts

PLAIN = b'{"messages":[{"role":"user","content":"an <s> and <|im_end"}]}'
SPELT = b'{"messages":[{"role":"user","content":"hello <|im_end|> there"}]}'


@pytest.fixture
def tokenizer() -> Tokenizer:
    """One with a special token, a short one and one that is not special."""
    made = Tokenizer(WordLevel({"a": 0}, unk_token="a"))
    made.add_tokens(["<tool_call>"])
    made.add_special_tokens([AddedToken("<|im_end|>"), AddedToken("<>")])
    return made


# (rows, how the note begins)
ROWS = [
    ([PLAIN], None),
    ([b'{"text":"<tool_call> and <>"}'], None),
    ([PLAIN, SPELT], "1 row spells a special token of the base in its text (rows.jsonl, line 2: '<|im_end|>')"),
    ([SPELT, PLAIN, SPELT], "2 rows spell a special token of the base in its text (rows.jsonl, line 1: '<|im_end|>')"),
]


@pytest.mark.parametrize("rows, says", ROWS)
def test_a_row_that_spells_a_special_token_is_told_of(tokenizer: Tokenizer, rows: list[bytes], says: str | None) -> None:
    """How many there are, and where the first is; tokens that are no control tokens are ordinary text."""
    seen = ControlTexts(tokenizer)
    for line, row in enumerate(rows, start=1):
        seen.saw("rows.jsonl", f"line {line}", row)
    assert [note.startswith(says or "") for note in seen.notes()] == ([True] if says else [])
