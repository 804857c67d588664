"""How a rank shows its launcher that it lives: a small file with its phase and a counter.

The launcher compares contents and uses its own clock, so clocks that jump mean nothing.
"""

import os
from pathlib import Path
from typing import Literal

Phase = Literal["starting", "joining", "loading", "planning", "training", "validating", "saving", "finishing", "writing"]
"""In this order, but for "saving" and "validating". In "writing", rank 0 has the trained weights and needs no other rank any more."""
WIDTH = 32
LAUNCHER_PID = "FINETUNE_LAUNCHER_PID"
"""Environment variable of a rank: it ends with this process."""


class Heartbeat:
    """A rank's side."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        self._count = 0
        self.beat("starting")

    def beat(self, phase: Phase) -> None:
        """Counts one more sign of life. Overwrites in place: a reader never sees a part of it."""
        self._count += 1
        os.pwrite(self._descriptor, f"{phase} {self._count}".ljust(WIDTH).encode(), 0)


def read_beat(path: Path) -> str:
    """The last beat of a rank, "" before its first."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def phase_of(beat: str) -> str:
    """The phase that a beat names; a rank without a beat is starting."""
    return beat.partition(" ")[0] or "starting"
