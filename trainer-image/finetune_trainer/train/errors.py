"""What torch's errors mean to the person who wrote the spec."""

import errno
import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist

from finetune_api.exit_codes import ExitCode
from finetune_trainer.custom_loss import FAILED, failed, file_in
from finetune_trainer.failure import StageFailure, explain

PEER_WORDS = ("gloo", "Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL", "TCPStore")
MEMORY_WORDS = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""Of errors that are not torch.OutOfMemoryError: the CPU's allocator, CUDA outside of torch's allocator, cuBLAS, NCCL."""
NODE_WORDS = ("ECC error", "Xid", "GPU is lost", "fallen off the bus", "cudaErrorECCUncorrectable")
"""The GPU is broken."""
SETUP_WORDS = ("no socket interface found", "Duplicate GPU detected", "driver version is insufficient", "invalid usage")
"""NCCL's, of a wrong configuration: no peer was lost."""
FULL_WORDS = ("No space left on device", "os error 28", "Disk quota exceeded", "os error 122")
FULL_BELOW = 1 << 20
"""Bytes: torch's writer does not say why it failed; less free space than this says it."""


def explain_rank(exc: BaseException) -> StageFailure:
    """The failure that ended a rank."""
    text = str(exc)
    native = isinstance(exc, RuntimeError)
    if is_broken_gpu(exc):
        node = os.environ.get("NODE_NAME") or platform.node()
        return StageFailure(
            ExitCode.INTERNAL_ERROR,
            "GpuFailed",
            f"a GPU of {node} failed ({first_line(exc)}): check the node with nvidia-smi and dmesg, and drain it if the error returns",
        )
    if is_out_of_memory(exc):
        return StageFailure(
            ExitCode.DOES_NOT_FIT,
            "OutOfMemory",
            f"training does not fit into memory ({first_line(exc)}): lower hyperparameters.maxSequenceLength or use a smaller "
            "base model, or raise training.resources.limits.memory where it trains on a CPU",
            param="hyperparameters.maxSequenceLength",
        )
    of_a_file = isinstance(exc, OSError) and exc.filename is not None  # a network volume times out as a peer does
    lost = isinstance(exc, dist.DistError | TimeoutError | ConnectionError) and not of_a_file
    lost = lost or (native and any(word in text for word in PEER_WORDS))
    if lost and not any(word in text for word in SETUP_WORDS):
        return StageFailure(ExitCode.PEER_LOST, "PeerLost", f"lost the connection to another rank: {first_line(exc)}")
    return explain(exc)


def explain_step(exc: Exception, step: int, where: str) -> Exception:
    """The same error if it explains itself, or else one that names the rows of the step that it came from. An error of a user's own loss is
    the user's, unless memory, a device or torch's connection to other ranks failed in it."""
    own = isinstance(exc, StageFailure) and exc.error.code == FAILED
    cause = exc.__cause__ if own and isinstance(exc.__cause__, Exception) else exc
    if is_out_of_memory(cause) or is_broken_gpu(cause) or isinstance(cause, dist.DistError):
        return cause
    if not isinstance(exc, StageFailure) and (file := file_in(exc)) is not None:
        return failed(exc, file)
    if explain_rank(exc).error.code != "InternalError":
        return exc
    return StageFailure(
        ExitCode.INTERNAL_ERROR,
        "StepFailed",
        f"step {step} failed at {where}: {type(exc).__name__}: {first_line(exc)}; the pod's log has the details",
    )


def is_broken_gpu(exc: BaseException) -> bool:
    """True for what CUDA says of a GPU that failed."""
    return isinstance(exc, RuntimeError) and any(word in str(exc) for word in NODE_WORDS)


def is_out_of_memory(exc: BaseException) -> bool:
    """True for an allocation that failed, on a GPU or in the machine's memory."""
    if isinstance(exc, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(exc, RuntimeError) and any(word in str(exc) for word in MEMORY_WORDS)


def explain_saving(exc: Exception, directory: Path) -> Exception:
    """The same error, or ENOSPC if a full disk caused it: libraries wrap that in errors of their own."""
    if any(word in str(exc) for word in FULL_WORDS) or shutil.disk_usage(directory.parent).free < FULL_BELOW:
        return OSError(errno.ENOSPC, "No space left on device", str(directory))
    return exc


def writing(directory: Path, write: Callable[[], None]) -> None:
    """Runs `write`; a full volume is raised as such, whatever library noticed it."""
    try:
        write()
    except Exception as exc:
        raise explain_saving(exc, directory) from exc


def first_line(exc: BaseException) -> str:
    """Of its message; the type of an error without one."""
    return (str(exc).splitlines() or [type(exc).__name__])[0]
