"""Builds the ONNX model with onnxruntime-genai's builder, in a process of its own that gives all memory back."""

import ctypes
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from finetune_api.exit_codes import ExitCode
from finetune_trainer.failure import StageFailure, invalid

BUILDER = "onnxruntime_genai.models.builder"
LOG_TAIL = 4000


def build_onnx(model: Path, out: Path, scratch: Path, tick: Callable[[], None]) -> None:
    """Writes the fp32 model of the Hugging Face folder `model` to `out`, for onnxruntime on a CPU.

    `scratch` is a folder on the same volume for the builder's cache and log; `tick` is called every second. Raises
    StageFailure for an architecture that the builder does not know, OSError(ENOSPC) when the volume is full.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    log = scratch / "builder.log"
    command = [sys.executable, "-m", BUILDER, "-i", str(model), "-o", str(out), "-p", "fp32", "-e", "cpu", "-c", str(scratch / "cache")]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TMPDIR": str(scratch), "TQDM_DISABLE": "1", "GIT_DIR": os.devnull}
    # Without GIT_DIR the builder writes the commit of whatever repository it is installed below into the model.
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment, preexec_fn=die_with_parent
        )
    try:
        wait(process, tick)
    finally:
        process.kill()
        process.wait()
    if process.returncode != 0:
        raise builder_failure(process.returncode, log.read_bytes()[-LOG_TAIL:].decode(errors="replace"), out)


def wait(process: subprocess.Popen[bytes], tick: Callable[[], None]) -> None:
    """Waits for the end of a process and ticks meanwhile."""
    while True:
        try:
            process.wait(timeout=1)
            return
        except subprocess.TimeoutExpired:
            tick()


def builder_failure(code: int, log: str, out: Path) -> Exception:
    """What the builder's last words come to; they go to this process' log, too."""
    print(log, file=sys.stderr, flush=True)
    if "No space left on device" in log or "Disk quota exceeded" in log or f"(os error {errno.ENOSPC})" in log:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(out))
    if code == -signal.SIGKILL or "MemoryError" in log:
        return StageFailure(
            ExitCode.DOES_NOT_FIT,
            "OutOfMemory",
            "the ONNX export ran out of memory (it holds the model in fp32): raise publishing.resources.limits.memory",
            param="publishing.resources",
        )
    words = log.strip().splitlines() or [f"exit code {code}"]
    if "NotImplementedError" in words[-1]:
        return invalid(
            "ExportUnsupported",
            f"this model cannot be exported to ONNX: {words[-1].partition(': ')[2]}",
            param="export.onnx",
        )
    return StageFailure(ExitCode.INTERNAL_ERROR, "ExportFailed", f"the ONNX builder failed: {words[-1]}", param="export.onnx")


def die_with_parent() -> None:
    """A killed stage must not leave a builder behind that keeps writing into the next attempt's directory."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
