"""metrics.csv: a line for each step of the run, whatever number of attempts it took."""

import os
from dataclasses import dataclass, fields
from pathlib import Path

from finetune_trainer.workspace.files import write_atomic


@dataclass(frozen=True)
class StepMetrics:
    """What is known of one optimizer step; the fields are the columns."""

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

    def line(self) -> str:
        """As a line of the file. Numbers are written so that they read back equal."""
        return ",".join(repr(getattr(self, field.name)) for field in fields(self)) + "\n"


HEADER = ",".join(field.name for field in fields(StepMetrics)) + "\n"


class MetricsFile:
    """Appends lines; rank 0's alone."""

    def __init__(self, path: Path, resumed_step: int) -> None:
        """Drops the lines of steps after `resumed_step`, which are run again."""
        kept = [metrics for metrics in read_metrics(path) if metrics.step <= resumed_step]
        write_atomic(path, HEADER + "".join(metrics.line() for metrics in kept))
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)  # stays open: closing would wait for a network volume
        self.loss = kept[-1].loss if kept else None
        """Of the last step, None before the first."""

    def append(self, metrics: StepMetrics) -> None:
        """Adds one step."""
        self.loss = metrics.loss
        os.write(self._descriptor, metrics.line().encode())

    def sync(self) -> None:
        """Makes the lines durable: a checkpoint must not outlive the lines of its steps."""
        os.fsync(self._descriptor)


def read_metrics(path: Path) -> list[StepMetrics]:
    """The steps in the file; a line torn by a lost process is left out."""
    try:
        lines = path.read_text().split("\n")[1:-1]
    except OSError:
        return []
    return [metrics for line in lines if (metrics := parse(line)) is not None]


def parse(line: str) -> StepMetrics | None:
    """One line as metrics, None when it is not whole."""
    cells = line.split(",")
    try:
        step, epoch, loss, learning_rate, grad_norm, tokens, speed = cells
        return StepMetrics(int(step), float(epoch), float(loss), float(learning_rate), float(grad_norm), int(tokens), float(speed))
    except ValueError:
        return None
