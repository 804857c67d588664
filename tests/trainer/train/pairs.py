"""Rows of pairs as prepare leaves them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

PAIRS = 14
DPO: dict[str, Any] = {"objective": "dpo", "dpo": {"beta": 0.3}}


def write_pairs(path: Path, count: int, vocabulary: int) -> None:
    """Prompts of 3 to 12 tokens with two answers of 2 to 14; the same ones every time."""
    random = np.random.default_rng(2)
    columns: dict[str, list[Any]] = {"input_ids": [], "loss_mask": [], "rejected_ids": [], "rejected_mask": []}
    for _ in range(count):
        prompt = random.integers(5, vocabulary, size=random.integers(3, 13)).tolist()
        for ids, mask in (("input_ids", "loss_mask"), ("rejected_ids", "rejected_mask")):
            answer = random.integers(5, vocabulary, size=random.integers(2, 15)).tolist()
            columns[ids].append([*prompt, *answer])
            columns[mask].append([False] * len(prompt) + [True] * len(answer))
    types = {name: pa.list_(pa.int32() if name.endswith("ids") else pa.bool_()) for name in columns}
    table = pa.table({name: pa.array(values, types[name]) for name, values in columns.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=8)
