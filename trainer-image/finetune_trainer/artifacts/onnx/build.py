"""Builds the ONNX model with onnxruntime-genai's builder, in a process of its own that gives all memory back."""

import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from finetune_api.exit_codes import ExitCode
from finetune_trainer.failure import StageFailure, invalid
from finetune_trainer.stage.child_process import run_apart

BUILDER = "finetune_trainer.artifacts.onnx.builder"


def build_onnx(model: Path, out: Path, scratch: Path, tick: Callable[[], None]) -> None:
    """Writes the fp32 model of the Hugging Face folder `model` to `out`, for onnxruntime on a CPU.

    `scratch` is a folder on the same volume for the builder's cache and log; `tick` is called every second. Raises
    StageFailure for an architecture that the builder does not know, OSError(ENOSPC) when the volume is full.
    """
    ended = run_apart(BUILDER, [str(model), str(out), str(scratch / "cache")], scratch, tick)
    if ended.code != 0:
        raise builder_failure(ended.code, ended.output, out)


def builder_failure(code: int, log: str, out: Path) -> Exception:
    """The failure for the end of the builder's output, which is also printed to this process' log."""
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
    lines = log.strip().splitlines() or [f"exit code {code}"]
    if "NotImplementedError" in lines[-1]:
        return invalid(
            "ExportUnsupported",
            f"this model cannot be exported to ONNX: {lines[-1].partition(': ')[2]}",
            param="export.onnx",
        )
    return StageFailure(ExitCode.INTERNAL_ERROR, "ExportFailed", f"the ONNX builder failed: {lines[-1]}", param="export.onnx")
