"""Prints the progress line at a limited rate."""

import sys
import time
from dataclasses import dataclass
from typing import Any

from finetune_api.progress import Progress
from finetune_trainer.stage import interruption


@dataclass
class Pulse:
    """Signs of life of this process: their number, and the latest activity."""

    count: int = 0
    activity: str = ""

    def beat(self, activity: str) -> None:
        """Records a sign of life."""
        self.count, self.activity = self.count + 1, activity


pulse = Pulse()


class ProgressPrinter:
    """Prints progress lines; calls within the interval are dropped."""

    def __init__(self, stage: str, interval: float = 2.0) -> None:
        self.stage = stage
        self.interval = interval
        self._last = float("-inf")

    def show(self, activity: str, *, force: bool = False, **fields: Any) -> None:
        """Prints the line if `interval` seconds have passed since the last one, or if `force`. Raises Stopped after SIGTERM."""
        pulse.beat(activity)
        self.repeat(activity, force=force, **fields)

    def repeat(self, activity: str, *, force: bool = False, **fields: Any) -> None:
        """Like `show`, but not a sign of life: for code that is waiting."""
        interruption.check()
        now = time.monotonic()
        if force or now - self._last >= self.interval:
            self._last = now
            line = Progress.model_validate({"stage": self.stage, "activity": activity, **fields}).line()
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
