"""Strategies: how several processes train one model. STRATEGIES has them by name (strategy.type of a run config).

strategy.py         the protocol
ddp.py              a whole copy on each rank
fsdp.py             a part of every weight on each rank
deepspeed.py        ZeRO: a part of the optimizer, the gradients or the weights; zero.py is at work, whole_tensors.py its checkpoints
tensor_parallel.py  a part of every layer, and of its computation, on each rank; slices.py is at work, division.py divides a model
packed.py           weights of several matrices in the checkpoints of fsdp and tensor-parallel
copies.py           of gathered tensors on the CPU
"""

from finetune_api.registry import Registry
from finetune_api.run_config import RunConfig, RunStrategy
from finetune_trainer.failure import entry_of
from finetune_trainer.methods import method_of
from finetune_trainer.optimizers import optimizer_of
from finetune_trainer.strategies.ddp import DDP
from finetune_trainer.strategies.deepspeed import DEEPSPEED
from finetune_trainer.strategies.fsdp import FSDP
from finetune_trainer.strategies.strategy import DistributedModel, ModelBytes, StateBytes, Strategy
from finetune_trainer.strategies.tensor_parallel import TENSOR_PARALLEL
from finetune_trainer.tasks import find_task

__all__ = ["STRATEGIES", "DistributedModel", "ModelBytes", "StateBytes", "Strategy", "obstacle_of", "strategy_of"]

STRATEGIES: Registry[Strategy] = Registry(
    "strategy",
    "finetune.strategies",
    DDP,
    FSDP,
    DEEPSPEED,
    TENSOR_PARALLEL,
)


def strategy_of(settings: RunStrategy) -> Strategy:
    """The strategy of a run; raises StageFailure InvalidSpec for an unknown one."""
    return entry_of(STRATEGIES, settings.type, "training.strategy.type")


def obstacle_of(strategy: Strategy, run: RunConfig) -> str:
    """Why a strategy cannot train the run's task by its method, optimizer and precision, "" if it can."""
    if run.hyperparameters.precision == "fp16" and not strategy.scales_loss:
        return f"hyperparameters.precision fp16 is not supported with {strategy.name}"
    if strategy.language_only and find_task(run.task).learner != "language":
        return f"{strategy.name} trains language models only"
    optimizer = optimizer_of(run.hyperparameters.optimizer)
    if strategy.divides and not optimizer.divisible:
        return f"hyperparameters.optimizer {optimizer.name} updates whole tensors, which cannot be divided among ranks"
    return strategy.obstacle(method_of(run), run.method)
