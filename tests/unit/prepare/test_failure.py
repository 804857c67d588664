"""What an exception means to the person who wrote the spec."""

import errno

import pytest

from finetune_api.exit_codes import ExitCode
from finetune_trainer.failure import explain, invalid
from finetune_trainer.stage.interruption import Stopped


class OutOfMemoryError(RuntimeError):
    """Named as torch names a GPU that is full."""


@pytest.mark.parametrize(
    ("exc", "exit_code", "code", "words"),
    [
        (invalid("InvalidDataset", "line 3"), ExitCode.INVALID_INPUT, "InvalidDataset", "line 3"),
        (Stopped(), ExitCode.PREEMPTED, "Preempted", "SIGTERM"),
        (PermissionError(errno.EACCES, "Permission denied", "/workspace/base"), ExitCode.INVALID_INPUT, "AccessDenied", "pod.fsGroup"),
        (OSError(errno.EROFS, "Read-only file system", "/workspace/x"), ExitCode.INVALID_INPUT, "AccessDenied", "/workspace/x"),
        (OSError(errno.ENOSPC, "No space left on device", "/workspace/x"), ExitCode.STORAGE_FULL, "StorageFull", "/workspace/x"),
        (RuntimeError("I/O error: Disk quota exceeded (os error 122)"), ExitCode.STORAGE_FULL, "StorageFull", "workspace.storage.size"),
        (MemoryError(), ExitCode.DOES_NOT_FIT, "OutOfMemory", "resources.limits.memory"),
        (OutOfMemoryError("CUDA out of memory"), ExitCode.DOES_NOT_FIT, "OutOfMemory", "on a GPU"),
        (OSError(errno.EIO, "Input/output error", "/workspace/x"), ExitCode.INTERNAL_ERROR, "InternalError", "OSError"),
        (ZeroDivisionError("division by zero"), ExitCode.INTERNAL_ERROR, "InternalError", "ZeroDivisionError: division by zero"),
    ],
)
def test_every_exception_has_a_code_and_words(exc: BaseException, exit_code: ExitCode, code: str, words: str) -> None:
    """What a new attempt cannot mend is distinguished from what it can, and the message names what to change."""
    failure = explain(exc)
    assert (failure.exit_code, failure.error.code) == (exit_code, code)
    assert words in failure.error.message
