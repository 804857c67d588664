"""Held-out rows and prompts as prepare left them in the workspace."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa


@dataclass(frozen=True)
class Row:
    """One example; `supervised[i]` says whether token i counts (it is predicted from the tokens before it)."""

    tokens: list[int]
    supervised: list[bool]

    @property
    def targets(self) -> int:
        """Tokens that count; the first token is predicted by nothing."""
        return sum(self.supervised[1:])


def read_rows(path: Path, limit: int) -> list[Row]:
    """The first `limit` examples of an Arrow file of input_ids and loss_mask."""
    table = read_table(path, limit)
    return [Row(*pair) for pair in zip(table["input_ids"].to_pylist(), table["loss_mask"].to_pylist(), strict=True)]


def read_prompts(path: Path, limit: int) -> list[list[int]]:
    """The first `limit` prompts of an Arrow file of input_ids."""
    prompts: list[list[int]] = read_table(path, limit)["input_ids"].to_pylist()
    return prompts


def read_table(path: Path, limit: int) -> pa.Table:
    """The first `limit` rows of an Arrow IPC file."""
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all().slice(0, limit)
