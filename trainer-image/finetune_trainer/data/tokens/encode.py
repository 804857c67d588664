"""Conversations to token ids and loss masks, many at a time."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer
from tokenizers.processors import Sequence as Nothing

from finetune_trainer.data.rows.conversation import Conversation, Message
from finetune_trainer.data.tokens.spans import NotPrefixPreserving, Span, supervised_spans
from finetune_trainer.data.tokens.template import ChatTemplate, TemplateRefusal

BATCH = 256
"""Conversations that are tokenised at once, over all cores."""


@dataclass(frozen=True)
class Encoded:
    """One example."""

    input_ids: npt.NDArray[np.int32]
    loss_mask: npt.NDArray[np.bool_]
    """True where a token is to be learnt. Never at index 0, which nothing predicts."""


@dataclass(frozen=True)
class Refused:
    """A conversation that the template does not take, or cannot be masked for."""

    where: str
    reason: str
    by_template: bool
    """True: the template raised an error. False: it is not prefix-preserving."""


class ChatEncoder:
    """A tokenizer and a chat template together."""

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate, loss_on: Literal["assistant", "all"]) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.post_processor = Nothing([])  # it would trim spaces off the offsets that the mask is made of
        self.tokenizer = tokenizer
        self.template = template
        self.loss_on = loss_on
        special = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
        special.add(template.special_tokens.get("eos_token", ""))
        self.end_markers = tuple(sorted(marker for marker in special if marker.strip()))

    def encode(self, rows: Iterable[tuple[str, Conversation]]) -> Iterator[Encoded | Refused]:
        """Each row's example, in order; a row comes with words for where it is."""
        rows = iter(rows)
        while batch := list(islice(rows, BATCH)):
            rendered = [self.render(where, conversation) for where, conversation in batch]
            texts = [item[0] for item in rendered if not isinstance(item, Refused)]
            encodings = iter(self.tokenizer.encode_batch(texts, add_special_tokens=False))  # the template wrote them
            for item in rendered:
                yield item if isinstance(item, Refused) else self.example(next(encodings), item[1])

    def render(self, where: str, conversation: Conversation) -> tuple[str, list[Span]] | Refused:
        """Text and supervised spans of one conversation."""
        try:
            if self.loss_on == "all":
                text = self.template.render(conversation.messages)
                return text, [Span(0, len(text))]
            return supervised_spans(self.template, conversation.messages, self.end_markers)
        except TemplateRefusal as exc:
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
        offsets = encoding.offsets
        for span in spans:
            mask[bisect_left(offsets, (span.start,)) : bisect_left(offsets, (span.end,))] = True
        mask[:1] = False
        return Encoded(ids, mask)

    def prompt(self, conversation: Conversation) -> list[int] | None:
        """Ids of the context before the last answer, ending where the assistant begins; None where the template refuses it."""
        try:
            text = self.template.render(conversation.messages[:-1], add_generation_prompt=True)
        except TemplateRefusal:
            return None
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def end_of_turn(self) -> int | None:
        """Id of the token that the template ends an answer with; None where it ends it with ordinary text."""
        try:
            text = self.template.render([Message("user", "Hi"), Message("assistant", "Hello")]).rstrip()
        except TemplateRefusal:
            return None
        marker = max((marker for marker in self.end_markers if text.endswith(marker)), key=len, default="")
        return self.tokenizer.token_to_id(marker) if marker else None
