"""Prints the progress line, at most once in an interval, and guesses the time that is left."""

import sys
import time

from finetune_api.progress import Progress
from finetune_trainer import interruption


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
        interruption.check()
        now = time.monotonic()
        if force or now - self._last >= self.interval:
            self._last = now
            line = Progress.model_validate({"stage": self.stage, "activity": activity, **fields}).line()
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
