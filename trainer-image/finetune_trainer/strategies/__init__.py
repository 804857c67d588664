"""Strategies: how several processes train one model. STRATEGIES has them by name (strategy of a run config).

strategy.py   the protocol
ddp.py        a whole copy on each rank
"""

from finetune_api.registry import Registry
from finetune_api.run_config import RunConfig
from finetune_trainer.failure import entry_of
from finetune_trainer.strategies.ddp import DDP
from finetune_trainer.strategies.strategy import DistributedModel, StateBytes, Strategy

__all__ = ["STRATEGIES", "DistributedModel", "StateBytes", "Strategy", "strategy_of"]

STRATEGIES: Registry[Strategy] = Registry(
    "strategy",
    "finetune.strategies",
    DDP,
)


def strategy_of(config: RunConfig) -> Strategy:
    """The strategy of a run; raises StageFailure InvalidSpec for an unknown one."""
    return entry_of(STRATEGIES, config.strategy, "strategy")
