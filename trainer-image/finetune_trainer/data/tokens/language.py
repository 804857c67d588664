"""Rows of the three tasks of language models to token ids and loss masks, many at a time and over all cores."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import Any, Literal, Protocol

import numpy as np
from tokenizers import Tokenizer

from finetune_text.chat_template import Span, TemplateRefusal
from finetune_text.prompt_tokenizer import PromptTokenizer
from finetune_trainer.data.rows.types import Row
from finetune_trainer.data.tokens.encoded import Encoded, Example, Kind, Refused
from finetune_trainer.data.tokens.spans import NotPrefixPreserving, Rendered, WordsLeftOut

BATCH = 512
"""Rows that are tokenised at once, over all cores."""

OPENING = 32
"""Tokens of a plain text that a model is given to go on with, at most."""

LossOn = Literal["assistant", "all"]


class Renderer(Protocol):
    """A task's rows to text."""

    def render(self, row: Row) -> list[Rendered]:
        """What is learnt of a row, mostly one text. Raises TemplateRefusal, WordsLeftOut and NotPrefixPreserving."""

    def prompt(self, row: Row) -> str:
        """What precedes the (last) answer. Raises TemplateRefusal."""

    def whole(self, row: Row) -> str:
        """The row's text, for lossOn all. Raises TemplateRefusal."""


class LanguageEncoder:
    """A tokenizer and a task's texts together. With `end` a text stands between the tokenizer's first token and this one; a chat
    template writes both itself."""

    kind: Kind = "language"

    def __init__(self, tokenizer: Tokenizer, renderer: Renderer, loss_on: LossOn, end: int | None = None) -> None:
        self.prompts = PromptTokenizer(tokenizer)
        self.tokenizer = tokenizer
        self.end = end
        self.renderer = renderer
        self.loss_on = loss_on

    def encode(self, rows: Iterable[tuple[str, Row]]) -> Iterator[Example | Refused]:
        """Each row's examples, in order; a batch is rendered while the one before it is tokenised."""
        rows = iter(rows)
        with ThreadPoolExecutor(1) as pool:
            before: tuple[list[str], list[list[Rendered] | Refused], Future[Any]] | None = None
            while batch := list(islice(rows, BATCH)):
                rendered = [self.render(where, row) for where, row in batch]
                texts = [part.text for item in rendered if not isinstance(item, Refused) for part in item]
                encodings = pool.submit(self.tokenizer.encode_batch, texts, add_special_tokens=False)  # the template wrote them
                if before:
                    yield from self._examples(*before)
                before = [where for where, _ in batch], rendered, encodings
            if before:
                yield from self._examples(*before)

    def _examples(self, places: list[str], rendered: list[list[Rendered] | Refused], encodings: Future[Any]) -> Iterator[Example | Refused]:
        each = iter(encodings.result())
        for where, item in zip(places, rendered, strict=True):
            if isinstance(item, Refused):
                yield item
            else:
                yield from [replace(self.example(next(each), part.spans), where=where) for part in item]

    def render(self, where: str, row: Row) -> list[Rendered] | Refused:
        """Texts and supervised spans of one row."""
        try:
            if self.loss_on == "all":
                text = self.renderer.whole(row)
                return [Rendered(text, [Span(0, len(text))])]
            return self.renderer.render(row)
        except TemplateRefusal as exc:
            return Refused(where, f"says: {exc}", by_template=True)
        except WordsLeftOut as exc:
            return Refused(where, str(exc), by_template=True)
        except NotPrefixPreserving as exc:
            return Refused(where, str(exc), by_template=False)

    def example(self, encoding: Any, spans: list[Span]) -> Encoded:
        """Supervises the tokens that begin inside a span.

        A token that begins before it holds characters of the prompt, too, which no prompt ends with; one that reaches
        beyond its end cannot be separated from the end of the answer.
        """
        ids = np.array(encoding.ids, np.int32)
        mask = np.zeros(len(ids), np.bool_)
        for span in spans:
            mask[token_from(encoding, span.start) : token_from(encoding, span.end)] = True
        if self.end is not None:
            ids = np.concatenate([self.prompts.first, ids, [self.end]]).astype(np.int32)
            mask = np.concatenate([np.zeros(len(self.prompts.first), np.bool_), mask, [True]])
        mask[:1] = False
        return Encoded(ids, mask)

    def prompt(self, row: Row) -> list[int] | None:
        """Ids of what precedes the last answer, ending where the model goes on; None where the template refuses it.

        Of a text without a prompt, its beginning.
        """
        try:
            text = self.renderer.prompt(row)
        except TemplateRefusal:
            return None
        if not text:
            ids = self.prompts.text(self.renderer.whole(row))
            return ids[: max(1, min(OPENING, len(ids) // 2))]
        return self.prompts.chat(text) if self.end is None else self.prompts.text(text)


def token_from(encoding: Any, position: int) -> int:
    """The first token that begins at a character or after it."""
    token, count = encoding.char_to_token(position), len(encoding)
    if token is None:  # beyond the end, or a character that no token has
        return count if count == 0 or encoding.token_to_chars(count - 1)[1] <= position else bisect_left(encoding.offsets, (position,))
    while token < count and encoding.token_to_chars(token)[0] < position:
        token += 1
    return int(token)
