"""Fine-tuning methods: what of a model is trained, and what that costs. METHODS has them by name (method.type of a spec).

method.py                 the protocol
full.py                   all weights
adapter.py                what adapters have in common
lora.py                   low-rank adapters
pissa.py                  adapters that start as a part of the base
qlora.py                  the same on a quantised base
ia3.py                    factors on keys, values and the feed-forward part
quantization.py           linear layers by bitsandbytes
cast.py                   the number format of weights
gradient_checkpointing.py activations computed again in the backward pass
"""

from finetune_api.registry import Registry
from finetune_api.run_config import RunConfig
from finetune_trainer.failure import entry_of
from finetune_trainer.methods.full import FULL
from finetune_trainer.methods.ia3 import IA3
from finetune_trainer.methods.lora import LORA
from finetune_trainer.methods.method import TrainingMethod
from finetune_trainer.methods.qlora import QLORA

__all__ = ["METHODS", "TrainingMethod", "method_of"]

METHODS: Registry[TrainingMethod] = Registry(
    "method",
    "finetune.methods",
    LORA,
    QLORA,
    IA3,
    FULL,
)


def method_of(config: RunConfig) -> TrainingMethod:
    """The method of a run; raises StageFailure InvalidSpec for an unknown one."""
    return entry_of(METHODS, config.method.type, "method.type")
