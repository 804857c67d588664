"""What prepare tells in JSON lines inside a pod, for a person at a terminal."""

import sys
from typing import TYPE_CHECKING

from finetune_trainer.stage.progress import ProgressPrinter

if TYPE_CHECKING:
    from rich.status import Status


class Bar(ProgressPrinter):
    """Shows the newest activity on standard error while something runs; nothing if that is not a terminal."""

    def __init__(self) -> None:
        super().__init__("prepare")
        self._status: Status | None = None

    def __enter__(self) -> "Bar":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.status import Status

            self._status = Status("", console=Console(stderr=True))
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def show(self, activity: str, *, force: bool = False, **fields: float | int | None) -> None:
        """Takes the place of the JSON line."""
        if self._status is not None:
            self._status.update(activity)
