"""Held-out rows and prompts as prepare left them in the workspace."""

from dataclasses import dataclass
from pathlib import Path

from finetune_trainer.prepared_rows import open_rows


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
    table = open_rows(path).slice(0, limit)
    return [Row(*pair) for pair in zip(table["input_ids"].to_pylist(), table["loss_mask"].to_pylist(), strict=True)]


def read_prompts(path: Path, limit: int) -> list[list[int]]:
    """The first `limit` prompts of an Arrow file of input_ids."""
    prompts: list[list[int]] = open_rows(path).slice(0, limit)["input_ids"].to_pylist()
    return prompts
