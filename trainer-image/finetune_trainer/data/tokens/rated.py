"""Rows of rated answers to token ids, loss masks and labels."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from finetune_trainer.data.tokens.encoded import Encoded, Example, ExampleKind, Rated, Refused
from finetune_trainer.data.tokens.language import LanguageEncoder, Renderer
from finetune_trainer.data.tokens.pairs import SEVERAL
from finetune_trainer.tasks.rows import Row


class RatedEncoder(LanguageEncoder):
    """A LanguageEncoder for rows with a label; `label_of` tells that of a row."""

    kind: ExampleKind = "rated"

    def __init__(self, tokenizer: Tokenizer, renderer: Renderer, label_of: Callable[[Any], bool], end: int | None = None) -> None:
        super().__init__(tokenizer, renderer, "assistant", end)
        self.label_of = label_of

    def encode(self, rows: Iterable[tuple[str, Row]]) -> Iterator[Example | Refused]:
        """Each row's example, in order."""
        labels: deque[bool] = deque()
        """Of the rows that are being encoded."""

        def passed() -> Iterator[tuple[str, Row]]:
            for where, row in rows:
                labels.append(self.label_of(row))
                yield where, row

        for where, found in self.encoded_rows(passed()):
            yield rated(where, found, labels.popleft())


def rated(where: str, found: list[Encoded] | Refused, label: bool) -> Rated | Refused:
    """The example of a row."""
    if isinstance(found, Refused):
        return found
    if len(found) != 1:
        return Refused(where, SEVERAL.format(count=len(found), side="the completion"), by_template=True)
    return Rated(found[0].input_ids, found[0].loss_mask, where, label=np.array([label]))
