"""Which part of a file's records is wanted: "0%:80%", "100:2000", "100:"."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from finetune_trainer.data.reading.record import Unreadable

_Item = TypeVar("_Item")


class WrongSlice(Exception):
    """A slice that means nothing, or leaves nothing; the text says why."""


@dataclass(frozen=True)
class Bounds:
    """Records from number `start` (from 0) up to `stop`, which is excluded; None: to the end."""

    start: int = 0
    stop: int | None = None

    @property
    def everything(self) -> bool:
        """True when nothing is cut away."""
        return self.start == 0 and self.stop is None

    def length(self, total: int) -> int:
        """How many of `total` records are within."""
        return max((total if self.stop is None else min(self.stop, total)) - self.start, 0)

    def of(self, records: Iterator[_Item]) -> Iterator[_Item]:
        """The records within. Raises Unreadable when the file ends before the first of them."""
        passed = sum(1 for _ in islice(records, self.start))
        first = next(records, None)
        if first is None and self.start:
            raise beyond(self.start, passed)
        if first is not None and (self.stop is None or self.stop > self.start):
            yield first
            yield from islice(records, None if self.stop is None else self.stop - self.start - 1)


EVERYTHING = Bounds()


def beyond(start: int, count: int) -> Unreadable:
    """A slice that begins where the file has already ended."""
    return Unreadable(f"the slice begins after row {start:,}, and the file has {count:,}")


def resolve_slice(text: str | None, count: Callable[[], int]) -> Bounds:
    """The bounds that `text` means; `count` (a pass over the file) is asked only for percentages. Raises WrongSlice."""
    if not text:
        return EVERYTHING
    first, colon, last = text.partition(":")
    if not colon:
        raise WrongSlice('expected two row numbers or percentages, as in "100:2000", "0%:80%" or "100:"')
    total = count() if "%" in text else 0
    start, stop = _number(first, total), _number(last, total)
    if stop is not None and stop <= (start or 0):
        rows = f"; the file has {total:,} rows" if total else ""
        raise WrongSlice(f"it leaves no row: it begins at {start or 0:,} and ends before {stop:,}{rows}")
    return Bounds(start or 0, stop)


def _number(text: str, total: int) -> int | None:
    if not text:
        return None
    number = text.removesuffix("%")
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        raise WrongSlice(f'{text!r} is not a row number or percentage; expected as in "100:2000", "0%:80%" or "100:"')
    if number == text:
        return int(number)
    if int(number) > 100:
        raise WrongSlice(f"{text} is more than 100%")
    return total * int(number) // 100
