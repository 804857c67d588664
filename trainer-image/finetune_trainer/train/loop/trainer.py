"""The training loop: transformers.Trainer, with one optimizer step as its unit.

One item of the dataloader is one step of this rank, a list of micro-batches; Trainer's own accumulation is not used, so
that the number of micro-batches may differ from step to step. The loss of a step is the mean over all that it supervises
(tokens or examples) on all ranks; what is computed is the Objective's business. Trainer keeps what it does well: optimizer,
schedule, clipping, checkpoints, the strategies of Accelerate.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from finetune_api.exit_codes import ExitCode
from finetune_trainer.distributed.world import World
from finetune_trainer.failure import StageFailure
from finetune_trainer.files import is_complete
from finetune_trainer.sealed import seal
from finetune_trainer.step_plan import StepPlan
from finetune_trainer.train.checkpoints import checkpoint_at, remove, rotate
from finetune_trainer.train.errors import explain_saving
from finetune_trainer.train.launch.heartbeat import Heartbeat
from finetune_trainer.train.loop.run_log import RunLog
from finetune_trainer.train.loop.steps import RankStep, step_loader
from finetune_trainer.train.objective import ModelBatch, Objective


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
class Course:
    """What the loop needs beside the model and Trainer's own arguments."""

    world: World
    plan: StepPlan
    objective: Objective
    checkpoints: CheckpointPlace
    heartbeat: Heartbeat
    asked_to_stop: Callable[[], bool]
    """True once this rank was sent SIGTERM."""
    log: RunLog | None
    """On rank 0 only."""


class Boundaries(TrainerCallback):
    """What happens between steps: a checkpoint when one is due, the end when it was asked for."""

    def __init__(self, trainer: "StepTrainer") -> None:
        self._trainer = trainer

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self._trainer.course.log is not None:
            self._trainer.course.log.step_begins()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        finished = state.global_step >= state.max_steps
        due = state.global_step % self._trainer.course.checkpoints.every == 0
        control.should_save = not finished and (due or self._trainer.stopping)
        control.should_training_stop = finished or self._trainer.stopping


class StepTrainer(Trainer):
    """See the module. `stopping` is true after train() when SIGTERM ended it early, with a checkpoint."""

    loss_is_scaled_for_ga = True  # Trainer must not divide it again

    def __init__(self, model: nn.Module, arguments: TrainingArguments, course: Course) -> None:
        super().__init__(model=model, args=arguments)
        self.course = course
        self.stopping = False
        self.model_accepts_loss_kwargs = False
        self._step_tokens = 0
        self.remove_callback(PrinterCallback)
        self.add_callback(Boundaries(self))

    def load_weights(self, checkpoint: Path) -> None:
        """The weights of a checkpoint alone, for a run that has no step left."""
        self._load_from_checkpoint(str(checkpoint))

    def get_train_dataloader(self) -> DataLoader[RankStep]:
        return step_loader(self.course.plan, self.course.objective, self.course.world.rank)

    def get_batch_samples(self, epoch_iterator: Iterator[RankStep], num_batches: int, device: torch.device) -> tuple[list[RankStep], None]:
        step = next(epoch_iterator, None)
        return ([] if step is None else [step]), None

    def floating_point_ops(self, inputs: Any) -> int:
        return 0

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Forward and backward of this rank's micro-batches; returns this rank's share of the loss times the world size."""
        step: RankStep = inputs
        model.train()
        self._step_tokens = step.tokens
        total = torch.zeros((), device=self.course.world.device)
        for place, batch in enumerate(step.batches, start=1):
            total += self._micro_step(model, batch.to(self.course.world.device), step.supervised, last=place == len(step.batches))
        diverged, self.stopping = self.course.world.any(not math.isfinite(total.item()), self.course.asked_to_stop())
        if diverged:
            raise self._diverged("the loss")
        return total

    def _micro_step(self, model: nn.Module, batch: ModelBatch, supervised: int, *, last: bool) -> torch.Tensor:
        world = self.course.world
        torch.manual_seed(dropout_seed(self.args.seed, self.state.global_step, batch.index))
        self.accelerator.gradient_state._set_sync_gradients(last)
        with contextlib.nullcontext() if last else self.accelerator.no_sync(model=model):
            # Gradients are averaged over the ranks, hence the factor.
            loss = self.course.objective.loss_sum(model, batch) * (world.size / max(1, supervised))
            self.accelerator.backward(loss)
        self.course.heartbeat.beat("training")
        if self.course.log is not None:
            self.course.log.show("training")
        return loss.detach()

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        norm = super()._clip_grad_norm(model)  # type: ignore[no-untyped-call]
        if not math.isfinite(float(norm)):  # equal on all ranks, and before it reaches the weights
            raise self._diverged("the gradient")
        return norm

    def _diverged(self, what: str) -> StageFailure:
        return StageFailure(
            ExitCode.DIVERGED,
            "Diverged",
            f"{what} is not finite at step {self.state.global_step + 1}: lower hyperparameters.learningRate "
            f"(now {self.args.learning_rate:g}) or hyperparameters.maxGradNorm (now {self.args.max_grad_norm:g}), and check the "
            "data near it; checkpoints up to this step are good",
            param="hyperparameters.learningRate",
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if self.course.log is not None and "loss" in logs:
            self.course.log.step_ends(
                step=self.state.global_step,
                epoch=float(self.state.epoch or 0),
                loss=logs["loss"],
                learning_rate=logs["learning_rate"],
                grad_norm=logs["grad_norm"],
                tokens=self._step_tokens,
            )

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        course, place = self.course, self.course.checkpoints
        directory = checkpoint_at(place.root, place.attempt, self.state.global_step).path
        course.heartbeat.beat("saving")
        if course.log is not None:
            course.log.checkpoint_begins()
        try:
            course.world.together(lambda: writing(directory, lambda: super(StepTrainer, self)._save_checkpoint(model, trial)))
            course.world.together(lambda: writing(directory, lambda: self._complete(directory)))
        except BaseException:
            if course.world.is_first and not is_complete(directory):
                remove(directory)
            raise
        course.heartbeat.beat("saving")

    def _complete(self, directory: Path) -> None:
        if self.course.world.is_first:
            place = self.course.checkpoints
            seal(directory, place.owner, lambda: self.course.heartbeat.beat("saving"))
            rotate(place.root, place.owner, place.keep)
        if self.course.log is not None:
            self.course.log.checkpoint_ends(self.state.global_step)


def writing(directory: Path, write: Callable[[], None]) -> None:
    """Runs `write`; a full volume is raised as such, whatever library noticed it."""
    try:
        write()
    except Exception as exc:
        raise explain_saving(exc, directory) from exc


def dropout_seed(seed: int, step: int, micro_batch: int) -> int:
    """Seed of a forward pass: the same for the same micro-batch of the run, on whatever rank and after whatever resume."""
    return int(np.random.SeedSequence([seed, step, micro_batch]).generate_state(1)[0])
