"""Many rows at once that are right at first sight, which nearly all rows are.

Only JSONL in the task's own layout comes here. What is not plainly right is not judged: `Shape.read` looks again, row by row. So
these checks may refuse a right row (tools, weights, a key with an escape), but must never let a wrong one pass. They look at the
columns of a whole block instead of at its rows, because a step of the interpreter costs more than a comparison.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import attrgetter, eq, itemgetter
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from finetune_text.blank import BLANK
from finetune_trainer.tasks.lossless import is_whole, quotes_of
from finetune_trainer.tasks.rows import Identities, Row

PlainSizes = npt.NDArray[np.int64]
_BLANK, _FIRST = frozenset(BLANK), itemgetter(0)
_encode_lines = msgspec.json.Encoder(order="deterministic").encode_lines


@dataclass(frozen=True)
class Found:
    """Rows that are right."""

    identities: Identities
    rows: Iterable[Row]
    turns: PlainSizes | None = None
    """Messages of each conversation."""


class PlainLines:
    """Reads lines of one layout. `judge` makes rows of what was decoded as `record`; None where any of them needs a closer look."""

    def __init__(self, record: Any, judge: Callable[[list[Any]], Sequence[Row] | None]) -> None:
        self._decode = msgspec.json.Decoder(record).decode_lines
        self._judge = judge

    def read(self, data: bytes) -> Found | None:
        """The rows of whole lines; None where any of them needs a closer look."""
        records = decoded(self._decode, data)
        rows = self._judge(records) if records else None
        if not records or rows is None:
            return None
        bare = quotes_of(np.frombuffer(_encode_lines(records), np.uint8))
        return Found(Identities(rows), rows) if is_whole(np.frombuffer(data, np.uint8), len(rows), bare) else None


def decoded(decode: Callable[[bytes], list[Any]], data: bytes) -> list[Any] | None:
    """The records of lines; None where one of them is something else."""
    try:
        return decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def say_something(texts: list[str]) -> bool:
    """True when none is empty or blank; also for no texts at all. Nearly always their first characters suffice."""
    return all(texts) and (_BLANK.isdisjoint(map(_FIRST, texts)) or all(map(str.strip, texts, repeat(BLANK))))


def pairs(found: list[Any]) -> list[Any] | None:
    """Rows of two different texts, the first two fields of their struct."""
    first, second = type(found[0]).__struct_fields__[:2]
    given, said = list(map(attrgetter(first), found)), list(map(attrgetter(second), found))
    if not say_something(given) or not say_something(said):
        return None
    return None if any(map(eq, map(str.strip, given), map(str.strip, said))) else found
