"""What the training loop is given: the parts of a run that it works with, and where its checkpoints go."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from finetune_trainer.distributed.world import World
from finetune_trainer.learner import Learner
from finetune_trainer.optimizers import OptimizerFactory
from finetune_trainer.step_plan import StepPlan
from finetune_trainer.strategies import DistributedModel
from finetune_trainer.train.copier import CheckpointCopier
from finetune_trainer.train.launch.heartbeat import Heartbeat
from finetune_trainer.train.loop.fp16 import LossScale
from finetune_trainer.train.loop.run_log import RunLog
from finetune_trainer.train.loop.validation import Validator
from finetune_trainer.train.row_places import RowPlaces


@dataclass(frozen=True)
class CheckpointPlace:
    """Where this attempt's checkpoints go, and how many of all attempts are kept."""

    root: Path
    owner: str
    """The run: Prepared.identity."""
    attempt: int
    every: int
    keep: int


@dataclass(frozen=True)
class LoopContext:
    """What the loop needs beside the model and Trainer's own arguments."""

    world: World
    distributed: DistributedModel
    plan: StepPlan
    learner: Learner
    places: RowPlaces
    """Of the training rows."""
    optimizer: OptimizerFactory
    checkpoints: CheckpointPlace
    heartbeat: Heartbeat
    asked_to_stop: Callable[[], bool]
    """True once this rank was sent SIGTERM."""
    log: RunLog | None
    """On rank 0 only."""
    validator: Validator | None = None
    loss_scale: LossScale | None = None
    """At the start of a training in fp16."""
    copier: CheckpointCopier | None = None
    """On rank 0 of a run whose checkpoints are copied to an object store."""
