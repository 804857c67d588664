"""Optimizers: how a step changes the weights, and the state that this takes. OPTIMIZERS has them by name (hyperparameters.optimizer).

factory.py    the protocol
adamw.py      AdamW
adamw_8bit.py the same with its state in 8 bits
adafactor.py  second moments as rows and columns
lion.py       the sign of a momentum
muon.py       orthogonalized momentum for matrices, AdamW for the rest
parts.py      several optimizers as one
"""

from finetune_api.registry import Registry
from finetune_trainer.failure import entry_of
from finetune_trainer.optimizers.adafactor import ADAFACTOR
from finetune_trainer.optimizers.adamw import ADAMW
from finetune_trainer.optimizers.adamw_8bit import ADAMW_8BIT
from finetune_trainer.optimizers.factory import OptimizerFactory, TrainedParameters
from finetune_trainer.optimizers.lion import LION
from finetune_trainer.optimizers.muon import MUON

__all__ = ["ADAMW", "ADAMW_8BIT", "OPTIMIZERS", "OptimizerFactory", "TrainedParameters", "optimizer_of"]

OPTIMIZERS: Registry[OptimizerFactory] = Registry(
    "optimizer",
    "finetune.optimizers",
    ADAMW,
    ADAMW_8BIT,
    ADAFACTOR,
    LION,
    MUON,
)


def optimizer_of(name: str | None) -> OptimizerFactory:
    """The optimizer that a spec names, AdamW where it names none; raises StageFailure InvalidSpec for an unknown one."""
    return entry_of(OPTIMIZERS, name or ADAMW.name, "hyperparameters.optimizer")
