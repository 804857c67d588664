"""Loss and perplexity of a causal language model over the supervised tokens."""

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from finetune_trainer.language_model.batch import MaskedRows, pad
from finetune_trainer.language_model.head import SupervisedHead
from finetune_trainer.language_model.rows import Rows
from finetune_trainer.learner import Show
from finetune_trainer.statistics.statistic import Measured, Reals, perplexity, ratio
from finetune_trainer.step_plan import cut

SOFTMAX_ROWS = 512
"""Positions whose logits are held in fp32 at once."""


class ScoredRows(MaskedRows, Protocol):
    """Rows, with their tokens and supervised tokens counted."""

    lengths: NDArray[np.int64]
    supervised: NDArray[np.int64]


def score(model: Any, rows: Rows, budget: int, show: Show) -> Measured:
    """Mean negative log-likelihood in nats per supervised token, and its exponential; see `row_losses`."""
    loss = ratio(row_losses(model, rows, budget, show), rows.supervised)
    return Measured(len(rows.supervised), {"loss": loss, "perplexity": perplexity(loss)})


@torch.inference_mode()
def row_losses(model: Any, rows: ScoredRows, budget: int, show: Show) -> Reals:
    """(rows,): the sum of the negative log-likelihoods (nats) of each row's supervised tokens.

    `budget` is the padded tokens of a forward pass; `show` is called with the supervised tokens that are scored so far, and all.
    The logits are computed in the model's own precision, the log-softmax in fp32. Rows without a supervised token are left out.
    """
    device, head = next(model.parameters()).device, SupervisedHead(model)
    found, total, done = np.zeros(len(rows.supervised)), int(rows.supervised.sum()), 0
    for places in cut(np.flatnonzero(rows.supervised), rows.lengths, budget):
        batch = pad(rows, places).to(device)
        logits = head.logits(model, batch)
        parts = zip(torch.split(logits, SOFTMAX_ROWS), torch.split(batch.targets, SOFTMAX_ROWS), strict=True)
        tokens = torch.cat([torch.nn.functional.cross_entropy(part.float(), targets, reduction="none") for part, targets in parts])
        found[places] = [part.double().sum().item() for part in torch.split(tokens, rows.supervised[places].tolist())]
        done += len(batch.targets)
        show(done, total)
    return found
