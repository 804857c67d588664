"""What is learned, and what a model of it is: the one interface of train, evaluation and publish to the kinds of training.

A learner loads its model, plans the steps from its rows, lays examples out as tensors, and computes their loss; of a trained model it
knows how to load, score and save it. The loop divides a loss by what the whole step supervises, so that no loss depends on the number
of processes or of micro-batches. `learners.py` has the learner of each task.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import torch
from torch import nn

from finetune_api.resources.learning import Precision
from finetune_trainer.distributed.world import World
from finetune_trainer.methods.method import DTYPES
from finetune_trainer.statistics.statistic import Measured
from finetune_trainer.step_plan import MicroBatch, StepPlan

Show = Callable[[int, int], None]
"""Shows how much is done, and of how much."""
Watch = Callable[[str, int, int], None]
"""Shows what is being done before the first step, how much of it is done, and of how much. All ranks call it together, because it raises
on all of them when one was asked to stop."""
SCORED_TOKENS = {"cpu": 1024, "cuda": 8192}
"""Padded tokens of a scoring forward pass, at most: publish may have no GPU where train had one, and less memory."""


def scored_tokens(model: Any, micro_batch_tokens: int) -> int:
    """The padded tokens of a forward pass that scores this model: those of a training step, within the limit of its device."""
    return min(micro_batch_tokens, SCORED_TOKENS[next(model.parameters()).device.type])


def dtype_of(precision: Precision) -> torch.dtype:
    """Of the weights of a model that computes in `precision`."""
    found: torch.dtype = getattr(torch, DTYPES[precision])
    return found


def autocast(device: str, precision: Precision) -> torch.autocast:
    """Around a forward pass as the training makes it."""
    half = dtype_of(precision) != torch.float32
    return torch.autocast(device, dtype_of(precision) if half else None, enabled=half)


@dataclass(frozen=True)
class Tally:
    """What a model makes of a batch."""

    loss: float
    """Sum, in nats."""
    correct: int
    """Predictions that are right."""
    count: int
    """Predictions."""


class Begin(Protocol):
    """Called before a forward pass that is no micro-step's: it has then the random numbers of the step's own pass of its index."""

    def __call__(self, batch: Any, rows: tuple[int, ...] = ()) -> None:
        """`rows` are those of the training file that the batch has, for the words of an error; none: those of the next micro-batch."""


class ModelBatch(Protocol):
    """A micro-batch as tensors."""

    @property
    def index(self) -> int:
        """Its number within the step, over all ranks."""

    def to(self, device: torch.device) -> Self:
        """The same on another device."""


class Learner(Protocol):
    """One kind of training. In a training its methods are called in this order: load_base, plan, before_steps, then
    before_step for each step, batch and loss_sum for each micro-batch, validation_batches and tally for each validation."""

    def load_base(self) -> nn.Module:
        """The base in training form, on the CPU. New weights depend on the seed alone."""

    def plan(self, model: nn.Module, world: World) -> StepPlan:
        """The run's steps; the first rank prints how the examples are laid out."""

    def before_steps(self, model: nn.Module, plan: StepPlan, step: int, watch: Watch) -> None:
        """What has to be computed with the model before it is trained, `step` being the number of steps that it has been trained for. All
        ranks call it, with the model that the steps call."""
        return

    def batch(self, examples: MicroBatch) -> ModelBatch:
        """One micro-batch of the plan."""

    def before_step(self, model: nn.Module, batches: Sequence[Any], begin: "Begin") -> None:
        """What has to be known of a whole step before its first micro-batch; all ranks call it, with their own `batches` of the step.
        `begin` is called before each forward pass."""
        return

    def loss_sum(self, model: nn.Module, batch: Any) -> torch.Tensor:
        """Sum of the losses (nats) of a batch, a scalar; 0 with a gradient of zeros where nothing is supervised."""

    def step_figures(self) -> dict[str, float]:
        """What this rank's share of a step says beside the loss: sums over its examples since the last call, by the name of the column
        of metrics.csv that has their mean. The names are the same on all ranks."""
        return {}

    def validation_batches(self, world: World) -> Iterator[ModelBatch]:
        """This rank's micro-batches of the validation sample; every rank has the same number. They do not depend on the world size."""

    def tally(self, model: nn.Module, batch: Any) -> Tally:
        """What a model in eval mode predicts for a batch of the validation sample; called without gradients, by all ranks."""

    @property
    def examples(self) -> int:
        """Validation rows that a model is scored on."""

    @property
    def tokens(self) -> int:
        """Tokens of these rows that are scored."""

    def load(self, folder: Path, precision: Precision, device: str) -> Any:
        """The model of a Hugging Face folder, in eval mode, its weights in `precision`."""

    def score(self, model: Any, show: Show) -> Measured:
        """Measures a model on the validation rows."""

    def save(self, model: Any, folder: Path) -> None:
        """Writes a Hugging Face folder, including the tokenizer's files."""
