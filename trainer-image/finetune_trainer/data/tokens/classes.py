"""Rows of the two classification tasks to token ids and class indices.

Examples have their full length; arrow.cut shortens them by tokenizers' own rules.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from finetune_text.encoder_tokenizer import EncoderTokenizer, Input, first_tokens
from finetune_text.tags import IGNORED
from finetune_trainer.data.tokens.batches import batches
from finetune_trainer.data.tokens.encoded import Classified, Example, Kind, Refused
from finetune_trainer.data.tokens.unseen_words import UnseenWords
from finetune_trainer.tasks.rows import Row, TextLabel, TokenTags

BATCH = 1024
"""Rows that are tokenised at once, over all cores, unless they are long."""


class ClassEncoder:
    """An encoder's tokenizer and the labels by class index."""

    def __init__(self, tokenizer: Tokenizer, labels: Iterable[str], kind: Kind) -> None:
        self.tokenizer = EncoderTokenizer(tokenizer)
        self.kind = kind
        self.indices = {label: index for index, label in enumerate(labels)}
        self.unseen = UnseenWords(self.indices)

    def encode(self, rows: Iterable[tuple[str, Row]]) -> Iterator[Example | Refused]:
        """Each row's example, in order."""
        for batch in batches(rows, BATCH, characters):
            encodings = self.tokenizer.encode_batch([input_of(row) for _, row in batch])
            for (where, row), encoding in zip(batch, encodings, strict=True):
                yield self.example(where, row, encoding)

    def example(self, where: str, row: Row, encoding: Any) -> Classified:
        """One row's ids with its labels."""
        segments = np.array([-1 if number is None else number for number in encoding.sequence_ids], np.int8)
        if isinstance(row, TextLabel):
            labels = [self.indices[label] for label in ([row.label] if isinstance(row.label, str) else row.label)]
        else:
            assert isinstance(row, TokenTags)
            labels = self.tag_labels(where, row, encoding)
        ids, types = np.array(encoding.ids, np.int32), np.array(encoding.type_ids, np.int8)
        return Classified(ids, types, np.array(labels, np.int32), segments, where)

    def tag_labels(self, where: str, row: TokenTags, encoding: Any) -> list[int]:
        """For each token the class of the word that it begins, else IGNORED.

        A word that gives no token of its own (a control character, an accent alone) is nobody's label, and its entity is cut.
        """
        labels, tokens = [IGNORED] * len(encoding.ids), first_tokens(encoding.offsets, row.tokens)
        for token, tag in zip(tokens, self.unseen.seen(where, row.tokens, row.tags, tokens), strict=True):
            if token is not None and tag is not None:
                labels[token] = self.indices[tag]
        return labels


def input_of(row: Row) -> Input:
    """What of a row is tokenised, as a request says it."""
    if isinstance(row, TokenTags):
        return row.tokens
    assert isinstance(row, TextLabel)
    return row.text if row.text_pair is None else (row.text, row.text_pair)


def characters(row: tuple[str, Row]) -> int:
    """Of a row's input."""
    texts = input_of(row[1])
    return len(texts) if isinstance(texts, str) else sum(map(len, texts))
