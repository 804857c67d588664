"""Rows of task text-embedding to token ids, each text by itself, as the server tokenises it.

Examples have their full length; arrow.truncate shortens them.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from finetune_text.encoder_tokenizer import EncoderTokenizer
from finetune_trainer.data.tokens.batches import batches
from finetune_trainer.data.tokens.encoded import Embedded, Example, ExampleKind, Refused
from finetune_trainer.tasks import EmbeddingTask
from finetune_trainer.tasks.rows import Row

BATCH = 1024
"""Rows that are tokenised at once, over all cores, unless they are long."""


class EmbeddingEncoder:
    """An encoder's tokenizer for two or three texts a row."""

    kind: ExampleKind = "embedding"

    def __init__(self, tokenizer: Tokenizer, task: EmbeddingTask) -> None:
        self.tokenizer = EncoderTokenizer(tokenizer)
        self.task = task

    def encode(self, rows: Iterable[tuple[str, Row]]) -> Iterator[Example | Refused]:
        """Each row's example, in order."""
        for batch in batches(rows, BATCH, lambda row: sum(map(len, self.task.texts(row[1])))):
            texts = [self.task.texts(row) for _, row in batch]
            encodings = iter(self.tokenizer.encode_batch([text for several in texts for text in several]))
            for (where, row), several in zip(batch, texts, strict=True):
                yield embedded(where, self.task.score(row), [next(encodings) for _ in several])


def embedded(where: str, score: float | None, encodings: list[Any]) -> Embedded:
    """One example."""
    ids, segments = list(map(ids_of, encodings)), list(map(segments_of, encodings))
    if len(encodings) == 2:
        ids, segments = [*ids, np.empty(0, np.int32)], [*segments, np.empty(0, np.int8)]
    scores = np.array([] if score is None else [score], np.float32)
    return Embedded(ids[0], segments[0], ids[1], segments[1], ids[2], segments[2], scores, where)


def ids_of(encoding: Any) -> npt.NDArray[np.int32]:
    """The tokens, special ones included."""
    return np.array(encoding.ids, np.int32)


def segments_of(encoding: Any) -> npt.NDArray[np.int8]:
    """Which of them are the text's own."""
    return np.array([-1 if number is None else number for number in encoding.sequence_ids], np.int8)
