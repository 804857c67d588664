"""The words and the seconds of publish's phases: progress lines while one runs, a line in the log when it is over."""

import contextlib
import time
from collections.abc import Callable, Iterator

from finetune_trainer import interruption
from finetune_trainer.progress import ProgressPrinter


class Phases:
    """Rank 0's voice for work that comes in phases."""

    def __init__(self) -> None:
        self._printer = ProgressPrinter("publish")
        self._activity = ""
        self._started = 0.0

    @contextlib.contextmanager
    def phase(self, activity: str) -> Iterator[None]:
        """Runs one phase; `activity` is for people: "evaluating the base model"."""
        self._activity, self._started = activity, time.monotonic()
        self._printer.show(activity, force=True)
        yield
        interruption.check()
        print(f"{activity}: {time.monotonic() - self._started:.1f} s", flush=True)

    def tick(self) -> None:
        """Says that the phase is still running."""
        self._printer.repeat(self._activity)

    def scored(self, done: int, total: int) -> None:
        """Says how much has been scored (tokens or examples), and when the rest will be."""
        rate = done / max(time.monotonic() - self._started, 1e-9)
        self._printer.show(self._activity, step=done, total_steps=total, eta_seconds=(total - done) / rate)

    def prompts(self, total: int) -> Callable[[int], None]:
        """A function that says how many prompts (or rows) are done, and when the rest will be."""

        def show(done: int) -> None:
            elapsed = time.monotonic() - self._started
            self._printer.show(self._activity, step=done, total_steps=total, eta_seconds=elapsed / done * (total - done))

        return show
