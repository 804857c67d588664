"""Rows of the three tasks of language models to token ids and loss masks, many at a time and over all cores."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from finetune_text.chat_template import TemplateRefusal
from finetune_text.prompt_tokenizer import PromptTokenizer, Spelled
from finetune_text.span import Span
from finetune_trainer.data.tokens.batches import batches
from finetune_trainer.data.tokens.borders import Border, Borders
from finetune_trainer.data.tokens.encoded import Encoded, Example, ExampleKind, Refused
from finetune_trainer.data.tokens.spans import NotPrefixPreserving, Rendered, WordsLeftOut
from finetune_trainer.tasks.rows import Row

BATCH = 512
"""Rows that are tokenised at once, over all cores, unless they are long."""

OPENING = 32
"""Tokens of a plain text that a model is given to go on with, at most."""

LossOn = Literal["assistant", "all"]


class Renderer(Protocol):
    """A task's rows to text."""

    def render(self, row: Row) -> list[Rendered]:
        """What is learned of a row, mostly one text. Raises TemplateRefusal, WordsLeftOut and NotPrefixPreserving."""

    def prompt(self, row: Row) -> str:
        """What precedes the (last) answer. Raises TemplateRefusal."""

    def whole(self, row: Row) -> str:
        """The row's text, for lossOn all. Raises TemplateRefusal."""


class Joint(NamedTuple):
    """A rendered text that was tokenised at once, as training would like to have it."""

    encoding: Any
    ids: list[int]
    spelled: list[Spelled]
    """What stays words of it."""
    rendered: Rendered
    answers: list[tuple[int, int]]
    """Of each span its first token and the one after its last: those that begin inside it."""
    borders: list[Border]
    """What is before each."""
    right: tuple[bool, ...] = ()
    """Of each answer, whether the tokens before it are the prompt's own."""


class LanguageEncoder:
    """A tokenizer and a task's texts together. With `end` a text stands between the tokenizer's first token and this one; a chat
    template writes both itself.

    The tokens before an answer are those that a server makes of the prompt alone. Where the text as a whole has other ones, the
    answer gets an example of its own.
    """

    kind: ExampleKind = "language"

    def __init__(self, tokenizer: Tokenizer, renderer: Renderer, loss_on: LossOn, end: int | None = None) -> None:
        self.tokens = PromptTokenizer(tokenizer)
        self.tokenizer = tokenizer
        self.end = end
        self.renderer = renderer
        self.loss_on = loss_on
        self.borders = Borders(self.tokens)

    def encode(self, rows: Iterable[tuple[str, Row]]) -> Iterator[Example | Refused]:
        """Each row's examples, in order."""
        for _, item in self.encoded_rows(rows):
            yield from [item] if isinstance(item, Refused) else item

    def encoded_rows(self, rows: Iterable[tuple[str, Row]]) -> Iterator[tuple[str, list[Encoded] | Refused]]:
        """Where each row is, and its examples; a batch is rendered while the one before it is tokenised."""
        rendered = ((where, self.render(where, row)) for where, row in rows)
        with ThreadPoolExecutor(1) as pool:
            before: Future[list[tuple[str, list[Joint] | Refused]]] | None = None
            for batch in batches(rendered, BATCH, characters):
                joints = pool.submit(self.joints, batch)
                if before:
                    yield from self._examples(before.result())
                before = joints
            if before:
                yield from self._examples(before.result())

    def render(self, where: str, row: Row) -> list[Rendered] | Refused:
        """Texts and supervised spans of one row."""
        try:
            return self.renderer.render(row) if self.loss_on == "assistant" else [self.whole(row)]
        except TemplateRefusal as exc:
            return Refused(where, f"says: {exc}", by_template=True)
        except WordsLeftOut as exc:
            return Refused(where, str(exc), by_template=True)
        except NotPrefixPreserving as exc:
            return Refused(where, str(exc), by_template=False)

    def whole(self, row: Row) -> Rendered:
        """A row's text of which everything is learned, with its answers where they can be found."""
        text = self.renderer.whole(row)
        try:
            parts = self.renderer.render(row)
        except (WordsLeftOut, NotPrefixPreserving):
            parts = []
        return Rendered(text, parts[0].spans if len(parts) == 1 and parts[0].text == text else [])

    def joints(self, rows: list[tuple[str, list[Rendered] | Refused]]) -> list[tuple[str, list[Joint] | Refused]]:
        """The rows' texts, tokenised, and what there is to know of their borders."""
        parts = [part for _, item in rows if not isinstance(item, Refused) for part in item]
        texts = [self.tokens.control.shown(part.text) for part in parts]
        encodings = self.tokenizer.encode_batch([text for text, _ in texts], add_special_tokens=False)  # the template wrote them
        found = [self.joint(part, *text, encoding) for part, text, encoding in zip(parts, texts, encodings, strict=True)]
        self.borders.learn(border for joint in found for border in joint.borders)
        each = (joint._replace(right=tuple(map(self.borders.holds, joint.borders))) for joint in found)  # the next batch forgets them
        return [(where, item if isinstance(item, Refused) else list(islice(each, len(item)))) for where, item in rows]

    def joint(self, rendered: Rendered, text: str, places: list[Span], encoding: Any) -> Joint:
        """One text."""
        ids, spelled = encoding.ids, self.tokens.spelled(encoding, text, places) if places else []
        answers = [(token_from(encoding, start), token_from(encoding, end)) for start, end in rendered.spans]
        starts = [span.start for span in rendered.spans]
        borders = [self.borders.border(encoding, ids, text, at, token) for at, (token, _) in zip(starts, answers, strict=True)]
        return Joint(encoding, ids, spelled, rendered, answers, borders)

    def _examples(self, rows: list[tuple[str, list[Joint] | Refused]]) -> Iterator[tuple[str, list[Encoded] | Refused]]:
        for where, item in rows:
            if isinstance(item, Refused):
                yield where, item
                continue
            wrong = next((joint for joint in item if not all(joint.right)), None)
            if wrong:
                self.borders.saw(where, *halves(wrong, wrong.right.index(False)))
            yield where, [replace(example, where=where) for joint in item for example in self.examples(joint)]

    def examples(self, joint: Joint) -> Iterator[Encoded]:
        """The text as a whole with the answers that it is right for, and an example for each other one."""
        everything = self.loss_on == "all"
        if joint.right == (False,) and everything:
            yield self.apart(joint, 0)
            return
        if any(joint.right) or everything or not joint.right:
            yield self.together(joint)
        for number, holds in enumerate(joint.right):
            if not holds:
                yield self.apart(joint, number)

    def together(self, joint: Joint) -> Encoded:
        """The whole text; of an answer the tokens that begin inside it."""
        ids, everything = joint.ids, self.loss_on == "all"
        mask = np.full(len(ids), everything)
        for (first, after), holds in zip(joint.answers, joint.right, strict=True):
            mask[first:after] = holds
        for token, letters in reversed(joint.spelled):
            ids = [*ids[:token], *letters, *ids[token + 1 :]]
            mask = np.concatenate([mask[:token], np.repeat(mask[token], len(letters)), mask[token + 1 :]])
        if self.end is None:
            return encoded(ids, mask)
        first_ids = self.tokens.first
        return encoded([*first_ids, *ids, self.end], np.concatenate([np.full(len(first_ids), everything), mask, [True]]))

    def apart(self, joint: Joint, number: int) -> Encoded:
        """One answer after its prompt as a server makes it; with lossOn all, where it is the only one, the prompt is learned, too."""
        prompt, answer = halves(joint, number)
        before, said = self.prompt_ids(prompt), self.tokens.continuation(answer)
        ids = [*before, *said] if self.end is None else [*before, *said, self.end]
        mask = np.full(len(ids), self.loss_on == "all" and len(joint.borders) == 1)
        mask[len(before) :] = True
        return encoded(ids, mask)

    def prompt_ids(self, text: str) -> list[int]:
        """Ids of a prompt's text."""
        return self.tokens.chat(text) if self.end is None else self.tokens.text(text)

    def prompt(self, row: Row) -> list[int] | None:
        """Ids of what precedes the last answer, ending where the model goes on; None where the template refuses it.

        Of a text without a prompt, its beginning.
        """
        try:
            text = self.renderer.prompt(row)
        except TemplateRefusal:
            return None
        if text:
            return self.prompt_ids(text)
        ids = self.tokens.text(self.renderer.whole(row))
        return ids[: max(1, min(OPENING, len(ids) // 2))]


def characters(row: tuple[str, list[Rendered] | Refused]) -> int:
    """Of a row's texts."""
    _, item = row
    return 0 if isinstance(item, Refused) else sum(len(part.text) for part in item)


def halves(joint: Joint, number: int) -> tuple[str, str]:
    """A prompt and its answer."""
    text, span = joint.rendered.text, joint.rendered.spans[number]
    return text[: span.start], text[span.start : span.end]


def encoded(ids: list[int], mask: npt.NDArray[np.bool_]) -> Encoded:
    """An example; nothing predicts its first token."""
    mask[:1] = False
    return Encoded(np.array(ids, np.int32), mask)


def token_from(encoding: Any, position: int) -> int:
    """The first token that begins at a character or after it."""
    token, count = encoding.char_to_token(position), len(encoding)
    if token is None:  # beyond the end, or a character that no token has
        return count if count == 0 or encoding.token_to_chars(count - 1)[1] <= position else bisect_left(encoding.offsets, (position,))
    while token < count and encoding.token_to_chars(token)[0] < position:
        token += 1
    return int(token)
