"""Workspaces of embedding models that look as prepare leaves them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from finetune_trainer.data.tokens.arrow import final_schema
from finetune_trainer.workspace.workspace import Workspace
from tests.trainer.train.runs import LORA, write_prepared

EmbeddedRow = tuple[list[int], list[int], list[int], list[float]]
"""Anchor, positive, negative (maybe empty), score (maybe none)."""
KINDS = ("pairs", "triplets", "scored")


def random_texts(kind: str, count: int, vocabulary: int) -> list[EmbeddedRow]:
    """Texts of 4 to 14 tokens; the same ones every time. Of triplets, every third row has no negative."""
    random = np.random.default_rng(3)

    def text() -> list[int]:
        return random.integers(5, vocabulary, size=int(random.integers(4, 15))).tolist()

    rows: list[EmbeddedRow] = []
    for number in range(count):
        negative = text() if kind == "triplets" and number % 3 else []
        score = [float(np.float32(random.random()))] if kind == "scored" else []
        rows.append((text(), text(), negative, score))
    return rows


def write_embedded(path: Path, rows: list[EmbeddedRow]) -> None:
    """Writes one side as prepare streams it, in several record batches."""
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = final_schema("embedding", "rows.jsonl")
    lines = [f"line {number}" for number in range(1, len(rows) + 1)]
    columns = [pa.array(column, field.type) for column, field in zip([*zip(*rows, strict=True), lines], schema, strict=True)]
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(pa.table(columns, schema=schema), max_chunksize=8)


def prepare_embedded(
    root: Path, base: Path, kind: str, *, vocabulary: int, rows: int, method: dict[str, Any] = LORA, **hyper: Any
) -> Workspace:
    """What prepare leaves behind for an embedding model."""
    workspace = Workspace(root)
    write_embedded(workspace.train_rows, random_texts(kind, rows, vocabulary))
    write_embedded(workspace.validation_rows, random_texts(kind, rows, vocabulary))
    write_prepared(workspace, base, method, rows, hyper, pooling="mean")
    return workspace
