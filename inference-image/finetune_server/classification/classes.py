"""From logits to classes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.5
"""A label of a multi-label classifier applies if its probability is greater."""


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities over the last dimension."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: NDArray[np.float32] = exponents / exponents.sum(axis=-1, keepdims=True)
    return probabilities


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """An independent probability for each class; no overflow for large logits."""
    probabilities: NDArray[np.float32] = 0.5 * (1 + np.tanh(0.5 * logits))
    return probabilities


@dataclass(frozen=True)
class Classes:
    """A classifier's classes by index."""

    names: tuple[str, ...]
    multi_label: bool
    """Classes are independent: several may apply, or none."""

    def judge(self, logits: NDArray[np.float32]) -> dict[str, Any]:
        """The API's result for one input with these logits, shape (classes,)."""
        probabilities = sigmoid(logits) if self.multi_label else softmax(logits)
        values = [float(value) for value in probabilities]
        best = int(np.argmax(probabilities))
        found = {"label": self.names[best], "probs": values, "num_classes": len(values)}
        if self.multi_label:
            found["labels"] = [name for name, value in zip(self.names, values, strict=True) if value > THRESHOLD]
        return {**found, "scores": dict(zip(self.names, values, strict=True))}
