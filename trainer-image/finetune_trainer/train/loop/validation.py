"""Validation between steps: loss and accuracy on a fixed sample of the validation rows. Every rank computes a share.

Weights, gradients, random numbers and the time per step are left as they were. The figures are the same for every world size: the
sample, its micro-batches and the order in which their losses are added do not depend on it.
"""

import math
import time
from collections.abc import Callable

import torch
from torch import nn

from finetune_api.exit_codes import ExitCode
from finetune_api.result import ValidationSummary
from finetune_trainer.distributed.world import World
from finetune_trainer.failure import StageFailure
from finetune_trainer.learner import Learner, Tally
from finetune_trainer.train.launch.heartbeat import Heartbeat
from finetune_trainer.train.loop.curve import ValidationCurve, ValidationPoint
from finetune_trainer.train.loop.run_log import RunLog
from finetune_trainer.workspace.prepared import ResolvedHyperparameters


class Validator:
    """Knows when a validation is due, and how the earlier ones ended."""

    def __init__(
        self,
        learner: Learner,
        world: World,
        hyper: ResolvedHyperparameters,
        heartbeat: Heartbeat,
        asked_to_stop: Callable[[], bool],
        log: RunLog | None,
        curve: ValidationCurve,
    ) -> None:
        """`log` is on rank 0 only."""
        self.curve = curve
        self._learner = learner
        self._world = world
        self._hyper = hyper
        self._heartbeat = heartbeat
        self._asked_to_stop = asked_to_stop
        self._log = log

    def due(self, step: int) -> bool:
        """After every so many steps, and after the last one."""
        every = self._hyper.validation_every
        return step > 0 and every is not None and (step % every == 0 or step == self._hyper.total_steps)

    def owed(self, step: int) -> bool:
        """The step was due, and its validation did not take place."""
        return self.due(step) and all(point.step != step for point in self.curve.points)

    def run(self, model: nn.Module, step: int) -> ValidationPoint | None:
        """Adds a point to the curve; None if a rank was sent SIGTERM in the meantime. `model` is what the training steps call."""
        began = time.monotonic()
        tallies = self._tallies(model, step)
        try:
            point = None if tallies is None else mean_of(step, tallies)
        except StageFailure:
            if self._log is not None:
                self._log.validation_ends(None, time.monotonic() - began, "")  # the line of the step waits for it
            raise
        if point is not None:
            training_loss = self._log.mean_loss() if self._log is not None else None
            point = point.model_copy(update={"training_loss": training_loss})
            self.curve = self.curve.with_point(point)
        if self._log is not None:
            self._log.validation_ends(point, time.monotonic() - began, self.curve.overfitting())
        return point

    @property
    def exhausted(self) -> str:
        """Why the training stops early, "" while it does not; the same on all ranks."""
        stopping = self._hyper.early_stopping
        return self.curve.exhausted(stopping) if stopping is not None else ""

    def improved(self, step: int) -> bool:
        """The validation of this step found the lowest loss, and the weights of that are wanted."""
        best = self.curve.best
        return self._hyper.load_best_model_at_end and best is not None and best.step == step

    def _tallies(self, model: nn.Module, step: int) -> list[Tally] | None:
        """Of all micro-batches of the sample, in their order. After the last step they decide what is published: SIGTERM has to wait."""
        device, mine = self._world.device, {}
        devices = [device] if device.type == "cuda" else []
        model.eval()
        with torch.no_grad(), torch.random.fork_rng(devices):
            for batch in self._learner.validation_batches(self._world):
                mine[batch.index] = self._learner.tally(model, batch.to(device))
                self._heartbeat.beat("validating")
                if self._log is not None:
                    self._log.show("validating")
                if self._world.any(self._asked_to_stop())[0] and step < self._hyper.total_steps:
                    return None
        found = {index: tally for share in self._world.gather(mine) for index, tally in share.items()}
        return [found[index] for index in sorted(found)]

    def summary(self) -> ValidationSummary | None:
        """For the result; None if the run ended before its first validation."""
        if (best := self.curve.best) is None:
            return None
        last, examples = self.curve.points[-1], min(self._hyper.validation_examples, self._learner.examples)
        return ValidationSummary(
            examples=examples, step=last.step, loss=last.loss, accuracy=last.accuracy, best_step=best.step, best_loss=best.loss
        )


def mean_of(step: int, tallies: list[Tally]) -> ValidationPoint:
    """Raises StageFailure for a loss that is not finite: so are the weights, or the next step's loss."""
    count = max(1, sum(tally.count for tally in tallies))
    loss = math.fsum(tally.loss for tally in tallies) / count
    if not math.isfinite(loss):
        raise StageFailure(
            ExitCode.DIVERGED,
            "Diverged",
            f"the validation loss is not finite after step {step}: lower hyperparameters.learningRate, or set hyperparameters.precision "
            "to fp32; checkpoints before this step are good",
            param="hyperparameters.learningRate",
        )
    return ValidationPoint(step=step, loss=loss, accuracy=sum(tally.correct for tally in tallies) / count)
