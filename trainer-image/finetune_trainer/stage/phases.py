"""The phases of publish: progress lines while one runs, and its duration in the log when it is over."""

import contextlib
import time
from collections.abc import Callable, Iterator

from finetune_trainer.stage import interruption
from finetune_trainer.stage.progress import ProgressPrinter


class Phases:
    """Progress of work that consists of phases."""

    def __init__(self, what: str = "") -> None:
        """`what` is worked on, if it is not the model: "checkpoint 40"."""
        self._what = what
        self._printer = ProgressPrinter("publish")
        self._activity = ""
        self._started = 0.0

    @contextlib.contextmanager
    def phase(self, activity: str) -> Iterator[None]:
        """Runs one phase; `activity` is for people: "evaluating the base model"."""
        activity = f"{self._what}: {activity}" if self._what else activity
        self._activity, self._started = activity, time.monotonic()
        self._printer.show(activity, force=True)
        yield
        interruption.check()
        print(f"{activity}: {time.monotonic() - self._started:.1f} s", flush=True)

    def tick(self) -> None:
        """Shows that the phase is still running."""
        self._printer.repeat(self._activity)

    def scored(self, done: int, total: int) -> None:
        """Shows how much has been scored (tokens or examples), and the time left."""
        rate = done / max(time.monotonic() - self._started, 1e-9)
        self._printer.show(self._activity, step=done, total_steps=total, eta_seconds=(total - done) / rate)

    def prompts(self, total: int) -> Callable[[int], None]:
        """A function that shows how many prompts (or rows) are done, and the time left."""

        def show(done: int) -> None:
            elapsed = time.monotonic() - self._started
            self._printer.show(self._activity, step=done, total_steps=total, eta_seconds=elapsed / done * (total - done))

        return show
