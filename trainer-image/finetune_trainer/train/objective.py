"""What a run learns: the one interface between the loop, which knows steps and ranks, and the kinds of training.

A kind of training loads its model, plans the steps from its rows, lays examples out as tensors, and computes their loss. The
loop divides by what the whole step supervises, so that no loss depends on the number of processes or of micro-batches.
"""

from typing import Any, Protocol, Self

import torch
from torch import nn

from finetune_api.run_config import RunConfig
from finetune_trainer.distributed.world import World
from finetune_trainer.methods import Method
from finetune_trainer.prepared import Prepared
from finetune_trainer.step_plan import MicroBatch, StepPlan
from finetune_trainer.tasks import find_task
from finetune_trainer.workspace import Workspace


class ModelBatch(Protocol):
    """A micro-batch as tensors."""

    @property
    def index(self) -> int:
        """Its number within the step, over all ranks."""

    def to(self, device: torch.device) -> Self:
        """The same on another device."""


class Objective(Protocol):
    """One kind of training; its methods are called in this order."""

    def load(self) -> nn.Module:
        """The base in training form, on the CPU. New weights depend on the seed alone."""

    def plan(self, model: nn.Module, world: World) -> StepPlan:
        """The run's steps; the first rank says what there is to know of them."""

    def batch(self, examples: MicroBatch) -> ModelBatch:
        """One micro-batch of the plan."""

    def loss_sum(self, model: nn.Module, batch: Any) -> torch.Tensor:
        """Sum of the losses (nats) of a batch, a scalar; 0 with a gradient of zeros where nothing is supervised."""


def objective_of(config: RunConfig, prepared: Prepared, method: Method, workspace: Workspace) -> Objective:
    """The objective of the run's task."""
    from finetune_trainer.classification.labelling import labelling_of
    from finetune_trainer.classification.learner import Classifying
    from finetune_trainer.language_model.learner import LanguageModelling

    learner = find_task(config.task).learner
    if learner == "language":
        return LanguageModelling(prepared, method, workspace.train_rows)
    return Classifying(prepared, method, workspace.train_rows, labelling_of(learner, prepared))
