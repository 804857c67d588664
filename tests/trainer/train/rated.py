"""Rated rows as prepare leaves them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from finetune_trainer.data.tokens.arrow import final_schema

KTO: dict[str, Any] = {"objective": "kto", "kto": {"beta": 0.3, "desirableWeight": 1.5, "undesirableWeight": 0.8}}


def write_rated(path: Path, count: int, vocabulary: int) -> None:
    """Prompts of 3 to 12 tokens with an answer of 2 to 14, every third one undesirable; the same ones every time."""
    random = np.random.default_rng(3)
    columns: list[list[Any]] = [[], [], [], []]
    for row in range(count):
        prompt = random.integers(5, vocabulary, size=random.integers(3, 13)).tolist()
        answer = random.integers(5, vocabulary, size=random.integers(2, 15)).tolist()
        values = [*prompt, *answer], [False] * len(prompt) + [True] * len(answer), [row % 3 > 0], f"line {row + 1}"
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    schema = final_schema("rated", "rows.jsonl")
    table = pa.table([pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)], schema=schema)
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=8)
