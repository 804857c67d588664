"""Training in fp16, for GPUs without bf16: small gradients would round to 0, so the loss is multiplied by a scale before the backward pass,
and the gradients are divided by it before the update (Micikevicius et al. 2018).

The scale changes as torch.amp.GradScaler's does. That one looks at the gradients of one process, and not at every strategy's: the loop has
their norm, on which all ranks agree, under each. Accelerate uses it and refuses CPUs, so forward passes are put under autocast here.
"""

from typing import Self

import torch
from accelerate.utils import convert_outputs_to_fp32
from pydantic import Field
from torch import nn

from finetune_api.document import Document

GROWTH_INTERVAL = 2000
LEAST = 1.0
"""A gradient that overflows unscaled is a divergence."""


class LossScale(Document):
    """The scale, as a checkpoint keeps it."""

    value: float = Field(default=2.0**16, ge=LEAST)
    good: int = 0
    """Steps since it was changed."""

    def after(self, *, overflow: bool) -> Self | None:
        """For the next step: half of it after an overflow, twice after many steps without; None where it cannot be halved any more."""
        if overflow:
            return type(self)(value=self.value / 2) if self.value >= 2 * LEAST else None
        if self.good + 1 == GROWTH_INTERVAL:
            return type(self)(value=self.value * 2)
        return type(self)(value=self.value, good=self.good + 1)

    def bound(self, norm: float, most: float) -> float:
        """What gradients of this norm, which are scaled, are clipped to: their norm without the scale, or `most`."""
        return min(norm / self.value, most)


def compute_in_fp16(model: nn.Module, device: torch.device) -> None:
    """Puts the model's forward pass under autocast; its outputs are fp32."""
    model.forward = convert_outputs_to_fp32(torch.autocast(device.type, torch.float16)(model.forward))
