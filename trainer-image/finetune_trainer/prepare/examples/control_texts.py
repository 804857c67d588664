"""Rows whose own words spell a special token: in what users and tools say it stays words, elsewhere it becomes the token."""

from collections import Counter
from collections.abc import Iterator

from tokenizers import Tokenizer

from finetune_text.control_text import SAID_BY_OTHERS, ControlText, control_text_of
from finetune_trainer.data.tokens.chat import ChatRenderer
from finetune_trainer.data.tokens.classes import ClassEncoder
from finetune_trainer.data.tokens.embedding import EmbeddingEncoder
from finetune_trainer.data.tokens.encoded import Encoder
from finetune_trainer.data.tokens.language import LanguageEncoder
from finetune_trainer.data.tokens.texts import TextRenderer
from finetune_trainer.tasks.rows import Row

SHORTEST = 3
"""Characters of a special token that is looked for: shorter ones are ordinary text."""


class ControlTexts:
    """Counts such rows and keeps the first of each kind."""

    def __init__(self, tokenizer: Tokenizer, encoder: Encoder) -> None:
        self._control = control_text_of(tokenizer)
        self._encoder = encoder
        self._rows: Counter[bool] = Counter()
        self._first: dict[bool, str] = {}

    def saw(self, name: str, where: str, row: Row) -> None:
        """Looks at one row."""
        found = {words: token for words, text in texts_of(row, self._encoder) if (token := spelled(self._control, text))}
        for words, token in found.items():
            self._rows[words] += 1
            self._first.setdefault(words, f"{name}, {where}: {token!r}")

    def notes(self) -> list[str]:
        """What is worth a look: at most a sentence for each kind."""
        notes = []
        if count := self._rows[False]:
            notes.append(
                f"{rows(count)} a special token of the base in text that is tokenised as written (first: {self._first[False]}), so that it "
                "becomes the token itself: remove it if it is not meant"
            )
        if count := self._rows[True]:
            notes.append(
                f"{rows(count)} a special token of the base in the words of a user (first: {self._first[True]}): they are trained, and "
                "later served, as ordinary text"
            )
        return notes


def rows(count: int) -> str:
    """How many rows spell."""
    return "1 row spells" if count == 1 else f"{count:,} rows spell"


def spelled(control: ControlText, text: str) -> str | None:
    """The first special token in a text that is long enough to be one."""
    token = control.spelled(text)
    return token if token is not None and len(token.strip()) >= SHORTEST else None


def texts_of(row: Row, encoder: Encoder) -> Iterator[tuple[bool, str]]:
    """A row's texts as the encoder takes them, and whether special tokens that they spell stay words."""
    if isinstance(encoder, ClassEncoder):
        texts = encoder.task.input(row)
        yield True, texts if isinstance(texts, str) else " ".join(texts)
        return
    if isinstance(encoder, EmbeddingEncoder):
        yield from ((True, text) for text in encoder.task.texts(row))
        return
    assert isinstance(encoder, LanguageEncoder)
    if isinstance(encoder.renderer, ChatRenderer):
        messages = encoder.renderer.conversation(row).messages
        yield from ((message.role in SAID_BY_OTHERS, message.content or "") for message in messages)
        yield from ((False, call.function.arguments) for message in messages for call in message.tool_calls or ())
    elif isinstance(encoder.renderer, TextRenderer):
        yield from ((False, text) for text in encoder.renderer.texts(row))
