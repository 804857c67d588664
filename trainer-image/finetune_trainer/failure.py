"""The exception for expected failures of a stage: the message for the user and the exit code."""

import errno
import os

from finetune_api.exit_codes import ExitCode
from finetune_api.registry import Entry, Registry
from finetune_api.result import StageError
from finetune_trainer.stage.interruption import Stopped


class StageFailure(Exception):
    """An expected failure.

    `code` is stable CamelCase; `message` names the object, the field or line, the value and what to do next;
    `param` is the spec field to change; `details` are further findings, one per line. `exit_code` is an ExitCode, or 128 + the
    signal that ended the process.
    """

    def __init__(self, exit_code: int, code: str, message: str, *, param: str | None = None, details: list[str] | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.error = StageError(code=code, message=message, param=param, details=details or [])
        self.kinds: dict[str, int] = {}
        """For a refused dataset: the number of findings of each kind."""


def invalid(code: str, message: str, *, param: str | None = None, details: list[str] | None = None) -> StageFailure:
    """Invalid input: retrying does not help."""
    return StageFailure(ExitCode.INVALID_INPUT, code, message, param=param, details=details)


def entry_of(registry: Registry[Entry], name: str, param: str) -> Entry:
    """The entry that a run config names in `param`; raises StageFailure InvalidSpec listing the known ones."""
    try:
        return registry[name]
    except KeyError as exc:
        raise invalid("InvalidSpec", f"{param}: {exc.args[0]}", param=param) from exc


def explain(exc: BaseException) -> StageFailure:
    """`exc` as a StageFailure; an unexpected error becomes InternalError with a one-line message."""
    if isinstance(exc, StageFailure):
        return exc
    if isinstance(exc, Stopped):
        return StageFailure(ExitCode.PREEMPTED, "Preempted", "stopped by SIGTERM; the next attempt repeats the stage")
    if isinstance(exc, OSError) and exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and exc.filename:
        return invalid(
            "AccessDenied",
            f"{exc.filename}: {exc.strerror}: user {os.getuid()} must be able to read and write the job's volumes: set the stage's "
            "pod.fsGroup to the group that owns the volume, or use a volume that is not read-only",
        )
    if is_storage_full(exc):
        filename = getattr(exc, "filename", None)
        where = f" ({filename})" if filename else ""
        return StageFailure(
            ExitCode.STORAGE_FULL,
            "StorageFull",
            f"the volume is full{where}: start a new job with a larger workspace.storage.size (or output.storage.size)",
            param="workspace.storage.size",
        )
    if isinstance(exc, MemoryError) or type(exc).__name__ == "OutOfMemoryError":  # torch's, for a GPU
        return StageFailure(
            ExitCode.DOES_NOT_FIT,
            "OutOfMemory",
            "the process ran out of memory: raise the stage's resources.limits.memory (on a GPU: take one with more), set "
            "hyperparameters.gradientCheckpointing: true, or lower hyperparameters.maxSequenceLength",
        )
    return StageFailure(ExitCode.INTERNAL_ERROR, "InternalError", f"{type(exc).__name__}: {exc}; the pod's log has the details")


def is_storage_full(exc: BaseException) -> bool:
    """True if a write failed because the disk is full. Libraries written in Rust (safetensors) raise their own classes."""
    if isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return f"(os error {errno.ENOSPC})" in str(exc) or f"(os error {errno.EDQUOT})" in str(exc)
