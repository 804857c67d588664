"""A program of ours in a process of its own: it gives all its memory back, and it does not outlive the process that started it."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

SETTINGS = {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", "GIT_DIR": os.devnull}
"""Without GIT_DIR onnxruntime-genai's builder writes the commit of whatever repository it is installed below into the model."""


@dataclass(frozen=True)
class Ended:
    """How the process ended."""

    code: int
    """Its exit code, or the negative number of the signal that ended it."""
    output: str
    """The end of what it printed, standard output and error together."""
    in_time: bool = True


def run_apart(
    module: str, arguments: Sequence[str], scratch: Path, tick: Callable[[], None], *, limit: float = float("inf"), tail: int = 4000
) -> Ended:
    """Runs `python -m module` to its end, at most `limit` seconds; `scratch` is a folder for its log and for temporary files, `tick`
    is called every second."""
    scratch.mkdir(parents=True, exist_ok=True)
    log = scratch / f"{module.rpartition('.')[2]}.log"
    environment = os.environ | SETTINGS | {"TMPDIR": str(scratch)}
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env=environment, preexec_fn=die_with_parent,
        )  # fmt: skip
    try:
        in_time = wait(process, tick, time.monotonic() + limit)
    finally:
        process.kill()
        process.wait()
    return Ended(process.returncode, log.read_bytes()[-tail:].decode(errors="replace"), in_time)


def wait(process: subprocess.Popen[bytes], tick: Callable[[], None], until: float) -> bool:
    """Waits for the end of a process and ticks meanwhile; False when time is up before."""
    while time.monotonic() < until:
        try:
            process.wait(timeout=1)
            return True
        except subprocess.TimeoutExpired:
            tick()
    return False


def die_with_parent() -> None:
    """A killed stage must leave nothing behind that keeps writing into the next attempt's directory."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
