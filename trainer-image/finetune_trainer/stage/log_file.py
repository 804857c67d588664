"""The log of a stage in the workspace, which outlives the pod: everything that Python prints, except progress lines.

Its size is limited; the end of a longer log is kept. Output of native libraries, and the last output of a killed process, is only in
the pod's log.
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
"""Bytes of a log; older output is in a second file of the same size, and even older output is dropped."""
BEFORE = "-before.log"
"""Suffix of the second file's name."""


@contextlib.contextmanager
def kept_log(path: Path) -> Iterator[None]:
    """Also appends everything printed within the context to a file. If the file cannot be opened, the stage runs without it."""
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
    """A file of lines with a limited size. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self.lock = threading.Lock()
        """Held while writing."""
        self._path = path
        self._file = path.open("a", errors="backslashreplace")

    def add(self, lines: list[str]) -> None:
        """Appends whole lines and flushes them."""
        if os.fstat(self._file.fileno()).st_size >= MOST:
            self._file.close()
            self._path.replace(self._path.with_name(f"{self._path.stem}{BEFORE}"))
            self._file = self._path.open("a", errors="backslashreplace")
        self._file.writelines(f"{line}\n" for line in lines)
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class Copied:
    """A text stream whose complete lines are copied to a file; of a line that is overwritten, like a progress bar, the last state."""

    def __init__(self, stream: TextIO, file: LogFile) -> None:
        self._stream = stream
        self._file = file
        self._begun = ""

    def write(self, text: str) -> int:
        """Writes to the stream and copies complete lines to the file."""
        written = self._stream.write(text)
        self._keep(text)
        return written

    def end(self) -> None:
        """Writes an unterminated last line to the file."""
        if self._begun:
            self._keep("\n")

    def _keep(self, text: str) -> None:
        with self._file.lock, contextlib.suppress(OSError, ValueError):  # the volume is full, or a thread outlives the stage
            *lines, self._begun = map(last_state, (self._begun + text).split("\n"))
            if kept := [line.rstrip("\r") for line in lines if not line.startswith(PREFIX)]:
                self._file.add(kept)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def last_state(line: str) -> str:
    """The part of a line after its last carriage return."""
    shown = line.rstrip("\r")
    return shown.rpartition("\r")[2] + line[len(shown) :]
