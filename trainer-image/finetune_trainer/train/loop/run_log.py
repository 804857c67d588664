"""Rank 0's account of a run: a line of metrics.csv for each step, a progress line every few seconds."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from finetune_api.progress import CheckpointFigures, MicroBatches
from finetune_trainer.stage.progress import ProgressPrinter
from finetune_trainer.train.checkpoints import with_copies
from finetune_trainer.train.loop.curve import ValidationPoint
from finetune_trainer.train.loop.metrics import EVAL_ACCURACY, EVAL_LOSS, MetricsFile, StepMetrics
from finetune_trainer.train.loop.time_left import Course, TimeLeft


class Track(Protocol):
    """Takes figures of a step for the trackers."""

    def __call__(self, step: int, figures: Mapping[str, float], *, late: bool = False) -> None: ...


class RunLog:
    """Receives the events of a training and shows them. Steps are counted from 1."""

    def __init__(
        self,
        metrics: MetricsFile,
        printer: ProgressPrinter,
        track: Track,
        course: Course,
        resumed_step: int,
        tokens: int,
        usage: Callable[[float], Mapping[str, float]],
        micro_batches: MicroBatches,
        copied: Callable[[], Mapping[int, str]] = dict,
    ) -> None:
        """`tokens` were trained on before `resumed_step`, which is also the newest checkpoint's step (0: there is none). `track` takes the
        figures of a step for the trackers; `usage` has figures of the machine, given the tokens per second; `copied` has the addresses of
        the checkpoints' copies by step."""
        self._metrics = metrics
        self._printer = printer
        self._track = track
        self._total_steps = course.total_steps
        self._tokens = tokens
        self._usage = usage
        self._copied = copied
        self._checkpoints: list[CheckpointFigures] = []
        self._time_left = TimeLeft(course, time.monotonic())
        self._checkpoint_began = 0.0
        self._held: StepMetrics | None = None
        self._since_validation = metrics.losses_since_validation
        self._shown: dict[str, Any] = {
            "step": resumed_step,
            "total_steps": course.total_steps,
            "checkpoint_step": resumed_step or None,
            "micro_batches": micro_batches,
        }
        self._began = time.monotonic()

    @property
    def loss(self) -> float | None:
        """Of the run's last step, whatever attempt it was in; None when none is known."""
        return self._metrics.loss

    def steps_begin(self) -> None:
        """Starts the clock: what was done before the first step does not count as training."""
        self._time_left.begin(time.monotonic())

    def step_ends(
        self,
        step: int,
        epoch: float,
        loss: float,
        learning_rate: float,
        grad_norm: float,
        tokens: int,
        *,
        figures: Mapping[str, float],
        validated: bool,
    ) -> None:
        """Records a step of `tokens` tokens over all ranks; `figures` are further columns. `validated`: a validation comes next, and its
        line waits for that."""
        self._tokens += tokens
        self._time_left.step_ends(tokens, time.monotonic())
        speed = self._time_left.tokens_per_second
        more: dict[str, Any] = {**figures, **self._usage(speed)}
        self._since_validation.append(loss)
        metrics = StepMetrics(step, epoch, loss, learning_rate, grad_norm, self._tokens, round(speed, 1), **more)
        if validated:
            self._held = metrics
        else:
            self._append(metrics)
        left = self._time_left.seconds(step, self._tokens)
        self._shown |= {"step": step, "epoch": round(epoch, 4), "loss": loss, "learning_rate": learning_rate, "grad_norm": grad_norm}
        self._shown |= {name: round(value, 4) for name, value in more.items()}
        self._shown |= {"tokens_per_second": round(speed, 1), "eta_seconds": round(left, 1)}
        self.show("training", force=step == self._total_steps)

    def losses(self) -> dict[int, float]:
        """Training losses by step."""
        return self._metrics.losses()

    def mean_loss(self) -> float | None:
        """Training loss since the last validation."""
        return sum(self._since_validation) / len(self._since_validation) if self._since_validation else None

    def validation_ends(self, point: ValidationPoint | None, seconds: float, overfitting: str) -> None:
        """Records a validation, and what is wrong with the curve; None if it was interrupted."""
        held, self._held = self._held, None
        if held is not None:
            self._append(held if point is None else held.validated(point))
        elif point is not None:
            self._metrics.add_validation(point)
            self._track(point.step, {EVAL_LOSS: point.loss, EVAL_ACCURACY: point.accuracy}, late=True)
        if point is not None:
            self._since_validation = []
            self._time_left.validation_ends(seconds, time.monotonic())
            self._shown["overfitting"] = overfitting
            self._shown |= {"validation_loss": point.loss, "validation_accuracy": round(point.accuracy, 4)}
            self.show("training", force=point.step == self._total_steps)

    def _append(self, metrics: StepMetrics) -> None:
        self._metrics.append(metrics)
        self._track(metrics.step, metrics.figures())

    def checkpoint_ends(self, step: int, checkpoints: list[CheckpointFigures]) -> None:
        """Records that a checkpoint is complete, and which ones there are now."""
        now = time.monotonic()
        self._time_left.checkpoint_ends(now - self._checkpoint_began, now)
        self._checkpoints = checkpoints
        self._shown["checkpoint_step"] = step
        self.show("training")

    def checkpoint_begins(self) -> None:
        """Shows what takes so long, and makes the lines of its steps durable before the checkpoint is."""
        self._checkpoint_began = time.monotonic()
        self._metrics.sync()
        self.show("writing a checkpoint", force=True)

    def show_share(self, activity: str, done: int, total: int) -> None:
        """What is done before the first step, and how long it takes from here on."""
        left = (total - done) * (time.monotonic() - self._began) / done
        self._shown["eta_seconds"] = round(left, 1)
        self.show(f"{activity}: {done / total:.0%}")

    def show(self, activity: str, *, force: bool = False) -> None:
        """A progress line with the newest figures."""
        checkpoints = {"checkpoints": with_copies(self._checkpoints, self._copied())} if self._checkpoints else {}
        self._printer.show(activity, force=force, **self._shown, **checkpoints)
