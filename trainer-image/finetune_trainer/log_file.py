"""The log of a stage in the workspace, where it outlives the pod: what Python prints, but for the progress lines.

A log has a size at most: of a longer one the end is kept, which says how it went. What native libraries write past Python, and what a
process says that is killed, is in the pod's own log alone.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast

from finetune_api.progress import PREFIX

MOST = 32 << 20
"""Bytes of a log; what was before them is in a second file of that size, and what was before that is gone."""
BEFORE = "-before.log"
"""The end of the second file's name."""


@contextlib.contextmanager
def kept_log(path: Path) -> Iterator[None]:
    """Appends to a file what is printed meanwhile. A workspace that takes no file must not hinder the stage."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = LogFile(path)
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


class LogFile:
    """Lines in a file that does not grow for ever. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self.lock = threading.Lock()
        """Of those who write."""
        self._path = path
        self._file = path.open("a", errors="backslashreplace")

    def add(self, lines: list[str]) -> None:
        """Whole lines, on the volume when it returns."""
        if os.fstat(self._file.fileno()).st_size >= MOST:
            self._file.close()
            self._path.replace(self._path.with_name(f"{self._path.stem}{BEFORE}"))
            self._file = self._path.open("a", errors="backslashreplace")
        self._file.writelines(f"{line}\n" for line in lines)
        self._file.flush()

    def close(self) -> None:
        """No more lines."""
        self._file.close()


class Copied:
    """A text stream whose whole lines go to a file as well; of a line that is written over, as progress bars are, the last state."""

    def __init__(self, stream: TextIO, file: LogFile) -> None:
        self._stream = stream
        self._file = file
        self._begun = ""

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
        with self._file.lock, contextlib.suppress(OSError, ValueError):  # a full volume, or a thread that outlives the stage
            *lines, self._begun = map(last_state, (self._begun + text).split("\n"))
            if kept := [line.rstrip("\r") for line in lines if not line.startswith(PREFIX)]:
                self._file.add(kept)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def last_state(line: str) -> str:
    """Of a line that carriage returns begin anew."""
    shown = line.rstrip("\r")
    return shown.rpartition("\r")[2] + line[len(shown) :]
