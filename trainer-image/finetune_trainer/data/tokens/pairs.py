"""Rows of two answers to token ids and loss masks: each answer behind the prompt, as a row with this answer alone has it."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tokenizers import Tokenizer

from finetune_trainer.data.tokens.encoded import Encoded, Example, ExampleKind, Paired, Refused
from finetune_trainer.data.tokens.language import LanguageEncoder, Renderer
from finetune_trainer.tasks.rows import Row

SEVERAL = (
    "makes {count} texts of {side}, because it renders earlier answers differently once others follow: an answer must be one text, "
    "so write the messages before the last one into the prompt"
)


class PairEncoder(LanguageEncoder):
    """A LanguageEncoder for both sides of each row; `sides_of` makes them."""

    kind: ExampleKind = "pair"

    def __init__(
        self, tokenizer: Tokenizer, renderer: Renderer, sides_of: Callable[[Any], tuple[Row, Row]], end: int | None = None
    ) -> None:
        super().__init__(tokenizer, renderer, "assistant", end)
        self.sides_of = sides_of

    def encode(self, rows: Iterable[tuple[str, Row]]) -> Iterator[Example | Refused]:
        """Each row's pair, in order."""
        sides = ((where, side) for where, row in rows for side in self.sides_of(row))
        found = self.encoded_rows(sides)
        for (where, chosen), (_, rejected) in zip(found, found, strict=True):
            yield paired(where, chosen, rejected)


def paired(where: str, chosen: list[Encoded] | Refused, rejected: list[Encoded] | Refused) -> Paired | Refused:
    """The two sides of a row as one example."""
    for side, found in (("chosen", chosen), ("rejected", rejected)):
        if isinstance(found, Refused):
            return found
        if len(found) != 1:
            return Refused(where, SEVERAL.format(count=len(found), side=side), by_template=True)
    assert isinstance(chosen, list) and isinstance(rejected, list)
    (better,), (worse,) = chosen, rejected
    return Paired(better.input_ids, better.loss_mask, where, rejected_ids=worse.input_ids, rejected_mask=worse.loss_mask)
