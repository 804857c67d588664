"""The progress bar: what prepare tells in JSON lines inside a pod, for a person at a terminal."""

import sys

from rich.console import Console
from rich.status import Status


class Bar:
    """Shows the newest activity on standard error while something runs; nothing where nobody watches."""

    def __init__(self) -> None:
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
        """See ProgressPrinter, whose place it takes."""
        if self._status is not None:
            self._status.update(activity)
