"""Runs one of this package's programs in a child process: its memory is freed when it ends, and it dies with its parent."""

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
"""Without GIT_DIR, onnxruntime-genai's builder records the commit of whatever git repository surrounds its installation."""


APART = "finetune_trainer.stage.apart"


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
    """Runs `main` of a module with the arguments, for at most `limit` seconds. `scratch` is a folder for its log and temporary files;
    `tick` is called every second."""
    scratch.mkdir(parents=True, exist_ok=True)
    log = scratch / f"{module.rpartition('.')[2]}.log"
    environment = os.environ | SETTINGS | {"TMPDIR": str(scratch)}
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", APART, module, *arguments], stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env=environment, preexec_fn=die_with_parent,
        )  # fmt: skip
    try:
        in_time = wait(process, tick, time.monotonic() + limit)
    finally:
        process.kill()
        process.wait()
    return Ended(process.returncode, log.read_bytes()[-tail:].decode(errors="replace"), in_time)


def wait(process: subprocess.Popen[bytes], tick: Callable[[], None], until: float) -> bool:
    """Waits for a process to end, calling `tick` meanwhile; False if the time is up first."""
    while time.monotonic() < until:
        try:
            process.wait(timeout=1)
            return True
        except subprocess.TimeoutExpired:
            tick()
    return False


def die_with_parent() -> None:
    """A killed stage must not leave a process that keeps writing into the next attempt's directory."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
