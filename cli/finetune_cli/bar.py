"""The progress bar: what prepare tells in JSON lines inside a pod, for a person at a terminal."""

import sys

from rich.console import Console
from rich.status import Status

from finetune_trainer.progress import ProgressPrinter


class Bar(ProgressPrinter):
    """Shows the newest activity on standard error while something runs; nothing where nobody watches."""

    def __init__(self) -> None:
        super().__init__("prepare")
        self._console = Console(stderr=True)
        self._status: Status | None = Status("", console=self._console) if sys.stderr.isatty() else None

    def __enter__(self) -> "Bar":
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def show(self, activity: str, *, force: bool = False, **fields: float | int | None) -> None:
        """Takes the place of the JSON line."""
        if self._status is not None:
            self._status.update(activity)
