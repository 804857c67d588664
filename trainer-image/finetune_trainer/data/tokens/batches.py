"""What is tokenised together: many short rows or few long ones, so that memory does not grow with the rows' lengths."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

CHARACTERS = 2 << 20
"""Of a batch without its last row. A tokenizer holds about 130 bytes for each token until the batch is written."""

Item = TypeVar("Item")


def batches(items: Iterable[Item], most: int, size: Callable[[Item], int]) -> Iterator[list[Item]]:
    """All items, in order; `size` counts an item's characters."""
    batch: list[Item] = []
    characters = 0
    for item in items:
        batch.append(item)
        characters += size(item)
        if len(batch) == most or characters >= CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
