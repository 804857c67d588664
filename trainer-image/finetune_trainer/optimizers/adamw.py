"""AdamW (Loshchilov and Hutter 2019), torch's: on a GPU fused, as a loop over lists of tensors needs a copy of what it updates."""

from typing import TYPE_CHECKING

from finetune_trainer.optimizers.factory import Group, TrainedParameters

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

MOMENTS = 8
"""Bytes a parameter: two, in fp32."""


class AdamW:
    """An OptimizerFactory."""

    name = "adamw"
    title = "AdamW"
    needs_bitsandbytes = False
    divisible = True
    learning_rate_scale = 1.0
    weight_decay_scale = 1.0

    def state_bytes(self, trained: TrainedParameters) -> int:
        return MOMENTS * trained.total

    def temporaries(self, *, cpu: bool) -> float:
        return 8 if cpu else 0

    def make(self, groups: list[Group], model: "nn.Module", learning_rate: float) -> "Optimizer":
        from torch.optim import AdamW as TorchAdamW

        cpu = all(parameter.device.type == "cpu" for group in groups for parameter in group["params"])
        return TorchAdamW(groups, lr=learning_rate, foreach=False, fused=not cpu)


ADAMW = AdamW()
