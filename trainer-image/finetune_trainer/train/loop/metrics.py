"""metrics.csv: a line for each step of the run, whatever number of attempts it took.

The last columns are those of OpenAI's result files, for tools that plot these: train_loss is the same as loss; the validation's are
empty for a step that was not validated. The accuracy of a classifier is that of its labels.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path

from finetune_trainer.train.loop.curve import ValidationPoint
from finetune_trainer.workspace.files import write_atomic


@dataclass(frozen=True)
class StepMetrics:
    """What is known of one optimizer step."""

    step: int
    epoch: float
    loss: float
    """Nats per supervised token."""
    learning_rate: float
    grad_norm: float
    """Before clipping."""
    tokens: int
    """Seen since the run's first step, this one's included."""
    tokens_per_second: float
    valid_loss: float | None = None
    """Of the validation after this step."""
    valid_mean_token_accuracy: float | None = None
    reward_accuracy: float | None = None
    """Share of the step's pairs whose preferred answer has the higher reward; of rated answers, share of those that the model finds more
    likely than the base if they are desirable, less likely if not. Empty for objective sft."""
    reward_margin: float | None = None
    """Mean difference between the rewards of the preferred answer and of the other one; difference between the mean rewards of desirable
    and undesirable answers, empty for a step with one kind only."""
    kl: float | None = None
    """Of rated answers: estimate of the divergence from the base, in nats."""
    mfu: float | None = None
    """Share of the GPUs' peak speed; see usage.py, as for the other three. Empty where it is not known."""
    gpu_utilization: float | None = None
    gpu_memory_bytes: int | None = None
    host_memory_bytes: int | None = None

    @property
    def train_loss(self) -> float:
        """The loss by OpenAI's name."""
        return self.loss

    def validated(self, point: ValidationPoint) -> "StepMetrics":
        """The same with the validation's figures."""
        return replace(self, valid_loss=point.loss, valid_mean_token_accuracy=point.accuracy)

    def figures(self) -> dict[str, float]:
        """For trackers, by the names that transformers' Trainer uses there."""
        validation = {EVAL_LOSS: self.valid_loss, EVAL_ACCURACY: self.valid_mean_token_accuracy}
        training = {f"train/{name}": getattr(self, name) for name in TRACKED}
        return {name: value for name, value in (training | validation).items() if value is not None}

    def line(self) -> str:
        """As a line of the file. Numbers are written so that they read back equal."""
        values = (getattr(self, column) for column in COLUMNS)
        return ",".join("" if value is None else repr(value) for value in values) + "\n"


COLUMNS = (
    *("step", "epoch", "loss", "learning_rate", "grad_norm", "tokens", "tokens_per_second"),
    *("train_loss", "valid_loss", "valid_mean_token_accuracy", "reward_accuracy", "reward_margin", "kl"),
    *("mfu", "gpu_utilization", "gpu_memory_bytes", "host_memory_bytes"),
)
TRACKED = (
    *("loss", "learning_rate", "grad_norm", "epoch", "tokens", "tokens_per_second", "reward_accuracy", "reward_margin", "kl"),
    *("mfu", "gpu_utilization", "gpu_memory_bytes", "host_memory_bytes"),
)
EVAL_LOSS, EVAL_ACCURACY = "eval/loss", "eval/accuracy"
HEADER = ",".join(COLUMNS) + "\n"
WHOLE = ("step", "tokens", "gpu_memory_bytes", "host_memory_bytes")
"""Columns of whole numbers."""


class MetricsFile:
    """Appends lines; rank 0's alone."""

    def __init__(self, path: Path, resumed_step: int) -> None:
        """Drops the lines of steps after `resumed_step`, which are run again."""
        self._path = path
        kept = [metrics for metrics in read_metrics(path) if metrics.step <= resumed_step]
        self._descriptor = self._rewritten(kept)
        self.loss = kept[-1].loss if kept else None
        """Of the last step, None before the first."""
        validated = next((place for place in range(len(kept), 0, -1) if kept[place - 1].valid_loss is not None), 0)
        self.losses_since_validation = [metrics.loss for metrics in kept[validated:]]
        """Of the steps that were there, after the last one that was validated."""

    def _rewritten(self, steps: Iterable[StepMetrics]) -> int:
        write_atomic(self._path, HEADER + "".join(metrics.line() for metrics in steps))
        return os.open(self._path, os.O_WRONLY | os.O_APPEND)  # stays open: closing would wait for a network volume

    def append(self, metrics: StepMetrics) -> None:
        """Adds one step."""
        self.loss = metrics.loss
        os.write(self._descriptor, metrics.line().encode())

    def add_validation(self, point: ValidationPoint) -> None:
        """Adds the figures to the line of a step that is in the file already."""
        steps = (metrics.validated(point) if metrics.step == point.step else metrics for metrics in read_metrics(self._path))
        before, self._descriptor = self._descriptor, self._rewritten(steps)
        os.close(before)

    def losses(self) -> dict[int, float]:
        """Of all steps, by step."""
        return {metrics.step: metrics.loss for metrics in read_metrics(self._path)}

    def sync(self) -> None:
        """Makes the lines durable: a checkpoint must not outlive the lines of its steps."""
        os.fsync(self._descriptor)


def read_metrics(path: Path) -> list[StepMetrics]:
    """The steps in the file; a line torn by a lost process is left out, and a column that this version does not know."""
    try:
        header, *lines = path.read_text().split("\n")[:-1]
    except (OSError, ValueError):
        return []
    return [metrics for line in lines if (metrics := parse(header.split(","), line.split(","))) is not None]


def parse(columns: list[str], cells: list[str]) -> StepMetrics | None:
    """One line as metrics, None when it is not whole."""
    known = {field.name for field in fields(StepMetrics)}
    try:
        named = {column: cell for column, cell in zip(columns, cells, strict=True) if column in known}
        values = {column: int(cell) if column in WHOLE else float(cell) for column, cell in named.items() if cell}
        return StepMetrics(**values)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return None
