"""What the training will come to before it starts: steps, tokens, hours, cost. Rough on purpose, and it says what from."""

import numpy as np
from numpy.typing import NDArray

from finetune_api.result import Expectation
from finetune_api.run_config import RunConfig
from finetune_trainer.prepare.hyperparameters import Decided

Counts = NDArray[np.int64]


def expect(run: RunConfig, decided: Decided, parameters: int, lengths: Counts) -> Expectation:
    """`parameters` of the base model, `lengths` of the training examples after the cut."""
    hyper = decided.values
    tokens = int(lengths.mean() * min(hyper.batch_size, len(lengths)) * hyper.total_steps)
    return Expectation(tokens=tokens)
