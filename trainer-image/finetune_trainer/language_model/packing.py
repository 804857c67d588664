"""Start-up self-test: are packed examples blind to each other in this model?

Attention keeps them apart by their positions; a model with a recurrent state, or one that ignores positions, does not.
"""

import torch
from torch import nn

from finetune_api.resources.learning import Precision
from finetune_trainer.language_model.batch import MaskedRows
from finetune_trainer.learner import autocast

PROBE_TOKENS = 48
"""Of each of two examples: contamination is largest at the second one's first tokens."""
TOLERANCE: dict[Precision, float] = {"fp32": 1e-3, "tf32": 1e-2, "fp16": 1e-2, "bf16": 5e-2}
"""Largest difference of a logit, as a share of the largest logit. Real contamination is of the order of 1."""


@torch.no_grad()
def packing_error(model: nn.Module, rows: MaskedRows, precision: Precision) -> float:
    """Largest logit difference between an example alone and behind another one, relative to the largest logit.

    Computed in the run's precision, as in training, where the model is. Infinite for a model that does not take position ids.
    """
    device = next(model.parameters()).device
    first, second = (torch.from_numpy(rows[row][0][:PROBE_TOKENS]).to(device) for row in (0, len(rows) - 1))
    positions = torch.cat([torch.arange(len(first)), torch.arange(len(second))]).to(device)
    model.eval()
    with autocast(device.type, precision):
        try:
            packed = model(input_ids=torch.cat([first, second])[None], position_ids=positions[None], use_cache=False).logits
        except TypeError:
            return float("inf")
        alone = model(input_ids=second[None], use_cache=False).logits[0].float()
    return float((packed[0, len(first) :].float() - alone).abs().max() / alone.abs().max().clamp(min=1e-6))


def packing_is_exact(error: float, precision: Precision) -> bool:
    """True when the difference is rounding and not contamination."""
    return error <= TOLERANCE[precision]
