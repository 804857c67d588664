"""Rows of the two classification tasks to token ids and class indices. The tokenizer's own post-processor adds [CLS] and [SEP].

Examples have their full length; arrow.cut shortens them by tokenizers' own rules.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from finetune_trainer.data.rows.types import Row, TextLabel, TokenTags
from finetune_trainer.data.tokens.encoded import UNLABELLED, Classified, Example, Kind, Refused

BATCH = 1024
"""Rows that are tokenised at once, over all cores."""


class ClassEncoder:
    """An encoder's tokenizer and the labels by class index."""

    def __init__(self, tokenizer: Tokenizer, labels: Iterable[str], kind: Kind) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.tokenizer = tokenizer
        self.kind = kind
        self.indices = {label: index for index, label in enumerate(labels)}

    def encode(self, rows: Iterable[tuple[str, Row]]) -> Iterator[Example | Refused]:
        """Each row's example, in order."""
        rows = iter(rows)
        while batch := [row for _, row in islice(rows, BATCH)]:
            encodings = self.tokenizer.encode_batch([text_of(row) for row in batch])
            for row, encoding in zip(batch, encodings, strict=True):
                yield self.example(row, encoding)

    def example(self, row: Row, encoding: Any) -> Classified:
        """One row's ids with its labels."""
        segments = np.array([-1 if number is None else number for number in encoding.sequence_ids], np.int8)
        if isinstance(row, TextLabel):
            labels = [self.indices[label] for label in ([row.label] if isinstance(row.label, str) else row.label)]
        else:
            assert isinstance(row, TokenTags)
            labels = self.tag_labels(row, encoding)
        ids, types = np.array(encoding.ids, np.int32), np.array(encoding.type_ids, np.int8)
        return Classified(ids, types, np.array(labels, np.int32), segments)

    def tag_labels(self, row: TokenTags, encoding: Any) -> list[int]:
        """For each token the class of the word that it begins, else UNLABELLED.

        A word that gives no token of its own (a control character, an accent alone) is nobody's label.
        """
        labels, text = [UNLABELLED] * len(encoding.ids), " ".join(row.tokens)
        words = word_by_character(row.tokens)
        labelled = -1
        for index, ((start, end), special) in enumerate(zip(encoding.offsets, encoding.special_tokens_mask, strict=True)):
            if not special and start < end:
                lead = end - start - len(text[start:end].lstrip())  # byte-level tokens begin with the space before the word
                word = words[min(start + lead, end - 1)]
                if word > labelled and start + lead < end:
                    labels[index], labelled = self.indices[row.tags[word]], word
        return labels


def text_of(row: Row) -> str | tuple[str, str]:
    """What of a row is tokenised. The words of tagged rows are joined by spaces, as the text that a model is later asked about has them."""
    if isinstance(row, TokenTags):
        return " ".join(row.tokens)
    assert isinstance(row, TextLabel)
    return row.text if row.text_pair is None else (row.text, row.text_pair)


def word_by_character(words: list[str]) -> list[int]:
    """Of each character of the joined words, which word it belongs to; a space belongs to the word before it."""
    return [index for index, word in enumerate(words) for _ in range(len(word) + 1)][:-1] or [0]
