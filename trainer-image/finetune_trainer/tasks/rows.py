"""What rows of all tasks have in common once they are right: they are structs, which have one form as bytes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

Row = msgspec.Struct
"""A row of some task; each task has its own type."""

canonical = msgspec.json.Encoder(order="deterministic").encode
"""Row -> the same bytes for the same content, however the row was written."""
identity = msgspec.msgpack.Encoder(order="deterministic").encode
"""The same in fewer steps, for what is computed of every row and never shown: its fingerprint."""


@dataclass(frozen=True)
class Identities:
    """Those of many rows, made when somebody asks and one at a time: keeping them all costs as much as making them."""

    rows: Sequence[Row]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[bytes]:
        return map(identity, self.rows)
