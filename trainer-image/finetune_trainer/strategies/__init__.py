"""Strategies: how several processes train one model. STRATEGIES has them by name (strategy.type of a run config).

strategy.py   the protocol
ddp.py        a whole copy on each rank
fsdp.py       a part of every weight on each rank
"""

from finetune_api.registry import Registry
from finetune_api.run_config import RunStrategy
from finetune_trainer.failure import entry_of
from finetune_trainer.strategies.ddp import DDP
from finetune_trainer.strategies.fsdp import FSDP
from finetune_trainer.strategies.strategy import DistributedModel, ModelBytes, StateBytes, Strategy

__all__ = ["STRATEGIES", "DistributedModel", "ModelBytes", "StateBytes", "Strategy", "strategy_of"]

STRATEGIES: Registry[Strategy] = Registry(
    "strategy",
    "finetune.strategies",
    DDP,
    FSDP,
)


def strategy_of(settings: RunStrategy) -> Strategy:
    """The strategy of a run; raises StageFailure InvalidSpec for an unknown one."""
    return entry_of(STRATEGIES, settings.type, "training.strategy.type")
