"""Random weights under which every part of a model shows in its logits.

Freshly made models have weights so small, biases of zero and norms of one, that an export could leave any of them out and still
agree. Knows no family.
"""

import torch
from torch import nn


@torch.no_grad()
def enliven(model: nn.Module) -> None:
    """Draws all weights anew: matrices that keep the size of what goes through them, norms around one, biases around zero."""
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            parameter.normal_(std=parameter.shape[-1] ** -0.5)
        elif name.endswith("bias"):
            parameter.normal_(std=0.1)
        else:
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
