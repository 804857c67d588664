"""Loss and perplexity of a causal language model over the supervised tokens."""

import math
from typing import Any

import numpy as np
import torch

from finetune_api.metrics import Scores
from finetune_trainer.language_model.batch import pad
from finetune_trainer.language_model.head import SupervisedHead, loss_sum
from finetune_trainer.language_model.rows import Rows
from finetune_trainer.learner import Show
from finetune_trainer.step_plan import cut

SOFTMAX_ROWS = 512
"""Positions whose logits are held in fp32 at once."""


@torch.inference_mode()
def score(model: Any, rows: Rows, budget: int, show: Show) -> Scores:
    """Mean negative log-likelihood in nats per supervised token, and its exponential.

    `budget` is the padded tokens of a forward pass; `show` is called with the supervised tokens that are scored so far, and all.
    The logits are computed in the model's own precision, the log-softmax in fp32. Rows without a supervised token are left out.
    """
    device, head = next(model.parameters()).device, SupervisedHead(model)
    total, done, loss = int(rows.supervised.sum()), 0, 0.0
    for places in cut(np.flatnonzero(rows.supervised), rows.lengths, budget):
        batch = pad(rows, places).to(device)
        logits = head.logits(model, batch)
        parts = zip(torch.split(logits, SOFTMAX_ROWS), torch.split(batch.targets, SOFTMAX_ROWS), strict=True)
        loss += sum(loss_sum(part, targets).item() for part, targets in parts)
        done += len(batch.targets)
        show(done, total)
    mean = loss / done if done else math.nan
    return {"loss": mean, "perplexity": math.exp(min(mean, 700.0))}
