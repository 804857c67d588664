"""Rows of the two classification tasks to token ids and class indices.

Examples have their full length; arrow.cut shortens them by tokenizers' own rules.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from finetune_text.encoder_tokenizer import EncoderTokenizer, first_tokens
from finetune_text.tags import IGNORED
from finetune_trainer.data.tokens.batches import batches
from finetune_trainer.data.tokens.encoded import Classified, Example, ExampleKind, Refused
from finetune_trainer.data.tokens.unseen_words import UnseenWords
from finetune_trainer.tasks import SequenceTask, TokenTask
from finetune_trainer.tasks.rows import Row

BATCH = 1024
"""Rows that are tokenised at once, over all cores, unless they are long."""


class ClassEncoder:
    """An encoder's tokenizer and the labels by class index."""

    def __init__(self, tokenizer: Tokenizer, labels: Iterable[str], task: SequenceTask | TokenTask) -> None:
        self.tokenizer = EncoderTokenizer(tokenizer)
        self.task = task
        self.kind: ExampleKind = task.learner
        self.indices = {label: index for index, label in enumerate(labels)}
        self.unseen = UnseenWords(self.indices)

    def encode(self, rows: Iterable[tuple[str, Row]]) -> Iterator[Example | Refused]:
        """Each row's example, in order."""
        for batch in batches(rows, BATCH, self.characters):
            encodings = self.tokenizer.encode_batch([self.task.input(row) for _, row in batch])
            for (where, row), encoding in zip(batch, encodings, strict=True):
                yield self.example(where, row, encoding)

    def example(self, where: str, row: Row, encoding: Any) -> Classified:
        """One row's ids with its labels."""
        segments = np.array([-1 if number is None else number for number in encoding.sequence_ids], np.int8)
        if self.task.learner == "sequence":
            labels = [self.indices[label] for label in self.task.labels(row)]
        else:
            labels = self.tag_labels(where, self.task.input(row), self.task.tags(row), encoding)
        ids, types = np.array(encoding.ids, np.int32), np.array(encoding.type_ids, np.int8)
        return Classified(ids, types, np.array(labels, np.int32), segments, where)

    def tag_labels(self, where: str, words: list[str], tags: list[str | None], encoding: Any) -> list[int]:
        """For each token the class of the word that it begins, else IGNORED.

        A word that gives no token of its own (a control character, an accent alone) has no label, and its entity is cut.
        """
        labels, tokens = [IGNORED] * len(encoding.ids), first_tokens(encoding.offsets, words)
        for token, tag in zip(tokens, self.unseen.seen(where, words, tags, tokens), strict=True):
            if token is not None and tag is not None:
                labels[token] = self.indices[tag]
        return labels

    def characters(self, row: tuple[str, Row]) -> int:
        """Of a row's input."""
        texts = self.task.input(row[1])
        return len(texts) if isinstance(texts, str) else sum(map(len, texts))
