"""Proof that an exported classifier gives the labels that PyTorch gives.

The exported model sees rows padded beside each other, PyTorch each row by itself: so the mask is proven, too.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from finetune_api.model_directory import Parity
from finetune_trainer.artifacts.onnx.classifier_graph import OnnxClassifier
from finetune_trainer.artifacts.onnx.parity import parity_failed
from finetune_trainer.classification.batch import Collator, logits_asked
from finetune_trainer.classification.rows import LabelledRow

Logits = npt.NDArray[np.float32]
TOLERANCE = 1e-3
"""Largest difference of a logit; where PyTorch's decision is closer than this, rounding alone may turn it."""
TOGETHER = 8
"""Rows of a batch."""


def prove_labels(
    artifact: str, exported: OnnxClassifier, model: Any, collator: Collator, rows: Sequence[LabelledRow], show: Callable[[int], None]
) -> Parity:
    """Compares the labels of all rows; raises StageFailure (ParityFailed) naming the row that differs."""
    differences: list[str] = []
    largest = 0.0
    for start in range(0, len(rows), TOGETHER):
        together = rows[start : start + TOGETHER]
        found = exported.logits(collator.batch(together))
        place = 0
        for number, row in enumerate(together, start=start + 1):
            expected = alone(model, collator, row)
            given = found[place : place + len(expected)]
            place += len(expected)
            largest = max(largest, float(np.abs(given - expected).max(initial=0.0)))
            if text := difference(given, expected, collator):
                differences.append(f"row {number} of {len(rows)}: {text}")
        show(min(start + TOGETHER, len(rows)))
    if differences:
        raise parity_failed(artifact, differences)
    return Parity(artifact=artifact, prompts=len(rows), equal=len(rows), tokens=0, max_difference=largest)


@torch.inference_mode()
def alone(model: Any, collator: Collator, row: LabelledRow) -> Logits:
    """PyTorch's logits (N, labels) of one row."""
    logits: Logits = logits_asked(model, collator.batch([row])).numpy()
    return logits


def difference(given: Logits, expected: Logits, collator: Collator) -> str:
    """How logits (N, labels) differ beyond rounding, "" when they do not."""
    labelling = collator.labelling
    for place, (one, other) in enumerate(zip(given, expected, strict=True), start=1):
        where = f"labelled token {place}: " if labelling.per_token else ""
        if not labelling.multi_label and one.argmax() != other.argmax() and decided(other):
            return f"{where}the label is {labelling.labels[one.argmax()]!r}, PyTorch's is {labelling.labels[other.argmax()]!r}"
        if not np.abs(one - other).max() <= TOLERANCE:
            return f"{where}a logit differs by {np.abs(one - other).max():.2g}, more than {TOLERANCE:g}"
    return ""


def decided(logits: Logits) -> bool:
    """False where the two best logits are too close to tell them apart."""
    return len(logits) < 2 or float(np.diff(np.partition(logits, -2)[-2:])[0]) >= TOLERANCE
