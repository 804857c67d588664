"""Lion (Chen et al. 2023): a step by the sign of an interpolated momentum, the same size for every weight. By bitsandbytes, in fp32."""

from typing import TYPE_CHECKING, Any

from finetune_trainer.methods.method import FP32
from finetune_trainer.optimizers.factory import Group, TrainedParameters

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


class Lion:
    """An OptimizerFactory."""

    name = "lion"
    title = "Lion"
    needs_bitsandbytes = True
    divisible = False
    learning_rate_scale = 0.2  # section 5 of the paper: 3 to 10 times smaller than AdamW's, with a weight decay as many times larger
    weight_decay_scale = 5.0

    def state_bytes(self, trained: TrainedParameters) -> int:
        return FP32 * trained.total

    def temporaries(self, *, cpu: bool) -> float:
        return 2 * FP32 if cpu else 0

    def make(self, groups: list[Group], model: "nn.Module", learning_rate: float) -> "Optimizer":
        import bitsandbytes.optim

        library: Any = bitsandbytes.optim
        library.GlobalOptimManager.get_instance().initialize()  # what another optimizer has set for its tensors
        return library.Lion(groups, lr=learning_rate)  # type: ignore[no-any-return]


LION = Lion()
