"""The log of a stage in the workspace, where it outlives the pod: what Python prints, but for the progress lines.

What native libraries write past Python, and what a process says that is killed, is in the pod's own log alone.
"""

import contextlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast

from finetune_api.progress import PREFIX


@contextlib.contextmanager
def kept_log(path: Path) -> Iterator[None]:
    """Appends to a file what is printed meanwhile. A workspace that takes no file must not hinder the stage."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a", errors="backslashreplace")
    except OSError:
        yield
        return
    out, err = sys.stdout, sys.stderr
    with contextlib.closing(file):
        copies = [Copied(stream, file) for stream in (out, err)]
        sys.stdout, sys.stderr = (cast(TextIO, copy) for copy in copies)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = out, err
            for copy in copies:
                copy.end()


class Copied:
    """A text stream whose whole lines go to a file as well."""

    def __init__(self, stream: TextIO, file: TextIO) -> None:
        self._stream = stream
        self._file = file
        self._begun = ""
        self._lock = threading.Lock()

    def write(self, text: str) -> int:
        """As of any stream."""
        written = self._stream.write(text)
        self._keep(text)
        return written

    def end(self) -> None:
        """The last line may lack its end."""
        if self._begun:
            self._keep("\n")

    def _keep(self, text: str) -> None:
        with self._lock, contextlib.suppress(OSError, ValueError):  # a full volume, or a thread that outlives the stage
            *lines, self._begun = (self._begun + text).split("\n")
            self._file.writelines(f"{line}\n" for line in lines if not line.startswith(PREFIX))
            if lines:
                self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
