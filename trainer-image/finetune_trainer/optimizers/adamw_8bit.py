"""AdamW with both moments in 8 bits, a scale for each block of 256 values (Dettmers et al. 2022), by bitsandbytes.

As the paper advises, embeddings keep moments in fp32; so do tensors of fewer than 4,096 values, which is bitsandbytes' default.
`state_bytes` counts the latter like all others: the difference is at most 24 KiB a tensor, some MiB for the adapters of a model.
"""

from typing import TYPE_CHECKING, Any

from finetune_trainer.optimizers.adamw import MOMENTS
from finetune_trainer.optimizers.factory import Group, TrainedParameters

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

BLOCK = 256


class AdamW8bit:
    """An OptimizerFactory."""

    name = "adamw-8bit"
    title = "8-bit AdamW"
    needs_bitsandbytes = True
    divisible = False
    learning_rate_scale = 1.0
    weight_decay_scale = 1.0

    def state_bytes(self, trained: TrainedParameters) -> int:
        quantized = trained.total - trained.embeddings
        return MOMENTS * trained.embeddings + 2 * quantized + MOMENTS * quantized // BLOCK

    def temporaries(self, *, cpu: bool) -> float:
        return 24 if cpu else 0

    def make(self, groups: list[Group], model: "nn.Module", learning_rate: float) -> "Optimizer":
        import bitsandbytes.optim
        from torch import nn

        library: Any = bitsandbytes.optim
        overrides = library.GlobalOptimManager.get_instance()
        overrides.initialize()  # they are kept by the id of a tensor, which another may have had before
        for module in model.modules():
            if isinstance(module, nn.Embedding):
                overrides.override_config(module.weight, "optim_bits", 32)
        return library.AdamW8bit(groups, lr=learning_rate)  # type: ignore[no-any-return]


ADAMW_8BIT = AdamW8bit()
