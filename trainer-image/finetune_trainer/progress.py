"""Prints the progress line, at most once in an interval, and guesses the time that is left."""

import sys
import time
from dataclasses import dataclass

from finetune_api.progress import Progress
from finetune_trainer import interruption


@dataclass
class Pulse:
    """This process's signs of life: how many there were, and what it was doing at the last."""

    count: int = 0
    activity: str = ""

    def beat(self, activity: str) -> None:
        """One more."""
        self.count, self.activity = self.count + 1, activity


pulse = Pulse()


class ProgressPrinter:
    """Rank 0's voice. `show` may be called as often as one likes."""

    def __init__(self, stage: str, interval: float = 2.0) -> None:
        self.stage = stage
        self.interval = interval
        self._last = float("-inf")

    def show(self, activity: str, *, force: bool = False, **fields: float | int | None) -> None:
        """Prints the line when `interval` seconds have passed since the last, or when forced.

        Where there is something to tell there is a place to stop: raises Stopped after SIGTERM.
        """
        pulse.beat(activity)
        self.repeat(activity, force=force, **fields)

    def repeat(self, activity: str, *, force: bool = False, **fields: float | int | None) -> None:
        """The same for one who waits and cannot tell whether it gets on."""
        interruption.check()
        now = time.monotonic()
        if force or now - self._last >= self.interval:
            self._last = now
            line = Progress.model_validate({"stage": self.stage, "activity": activity, **fields}).line()
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
