"""Workspaces of classifiers that look as prepare leaves them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from finetune_text.tags import IGNORED
from finetune_trainer.workspace.workspace import Workspace
from tests.trainer.train.runs import LORA, write_prepared

SCHEMA = pa.schema([("input_ids", pa.list_(pa.int32())), ("token_type_ids", pa.list_(pa.int8())), ("labels", pa.list_(pa.int32()))])
ENCODER_VOCABULARY = 512
LabelledRow = tuple[list[int], list[int], list[int]]
"""input_ids, token_type_ids, labels."""
LABELS = {
    "one": ("sequence-classification", ["a", "b", "c"]),
    "many": ("sequence-classification", ["a", "b", "c"]),
    "tokens": ("token-classification", ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"]),
}
"""Task and labels of each kind of classifier; "many" gives several labels to a text."""


def random_rows(kind: str, count: int, vocabulary: int) -> list[LabelledRow]:
    """Rows of 6 to 30 tokens, the second half of each a second text; the same ones every time."""
    random = np.random.default_rng(1)
    classes = len(LABELS[kind][1])
    rows: list[LabelledRow] = []
    for length in random.integers(6, 31, size=count):
        ids = random.integers(5, vocabulary, size=length).tolist()
        types = [int(place >= length // 2) for place in range(length)]
        one = [int(random.integers(classes))]
        many = np.flatnonzero(random.random(classes) < 0.4).tolist()
        tags = [int(random.integers(classes)) if place % 3 else IGNORED for place in range(length)]
        rows.append((ids, types, {"one": one, "many": many, "tokens": tags}[kind]))
    return rows


def write_labelled(path: Path, rows: list[LabelledRow]) -> None:
    """Writes one side as prepare streams it, in several record batches."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), SCHEMA, strict=True)]
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
        writer.write_table(pa.table(columns, schema=SCHEMA), max_chunksize=8)


def prepare_labelled(
    root: Path, base: Path, kind: str, *, vocabulary: int, rows: int = 19, method: dict[str, Any] = LORA, **hyper: Any
) -> Workspace:
    """What prepare leaves behind for a classifier."""
    workspace = Workspace(root)
    write_labelled(workspace.train_rows, random_rows(kind, rows, vocabulary))
    write_prepared(workspace, base, method, rows, hyper, labels=LABELS[kind][1], multi_label=kind == "many")
    return workspace
