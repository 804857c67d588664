"""Adafactor (Shazeer and Stern 2018): the second moment of a matrix is kept as one row and one column, there is no first moment.

With the run's learning rate and schedule as they are, as transformers.Trainer uses it: no relative steps, no scaling by the size of
the parameters (matrices that begin at zero, as an adapter's, would hardly move).
"""

from typing import TYPE_CHECKING

from finetune_trainer.methods.method import FP32
from finetune_trainer.optimizers.factory import Group, TrainedParameters

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


class Adafactor:
    """An OptimizerFactory."""

    name = "adafactor"
    title = "Adafactor"
    needs_bitsandbytes = False
    divisible = False
    learning_rate_scale = 1.0
    weight_decay_scale = 1.0

    def state_bytes(self, trained: TrainedParameters) -> int:
        return FP32 * trained.factors

    def temporaries(self, *, cpu: bool) -> float:
        return 3 * FP32  # the update, its square or scale, and the product of row and column

    def make(self, groups: list[Group], model: "nn.Module", learning_rate: float) -> "Optimizer":
        from transformers import Adafactor as Factored

        return Factored(  # type: ignore[no-untyped-call]
            groups, lr=learning_rate, scale_parameter=False, relative_step=False, warmup_init=False
        )


ADAFACTOR = Adafactor()
