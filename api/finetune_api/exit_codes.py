"""How a stage program ends: one number that survives a lost status, a lost log and a lost pod.

The operator maps a Job's `podFailurePolicy` and a container's exit code to these; see docs/architecture.md.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of `python -m finetune_trainer ...`. 137 (SIGKILL) and 143 (SIGTERM) come from the kernel."""

    OK = 0
    INTERNAL_ERROR = 1
    INVALID_INPUT = 3  # the spec, the dataset or the base model is wrong: trying again cannot help
    DOES_NOT_FIT = 4  # needs more memory than there is
    STORAGE_FULL = 28  # ENOSPC on the workspace or the model volume
    PREEMPTED = 42  # SIGTERM (training has written a checkpoint): go on with the next attempt
    STALLED = 43  # no progress within limits.stallTimeout (training: on no rank)
    DIVERGED = 44  # the loss is not finite
    PEER_LOST = 45  # another rank went away
    WORKSPACE_DAMAGED = 46  # what an earlier stage left is missing or damaged: that stage has to run again
    SOURCE_UNAVAILABLE = 47  # a data or model source did not answer
    OUT_OF_MEMORY = 48  # a micro-batch of several examples ran out of memory: half of it may fit

    @property
    def retryable(self) -> bool:
        """True when a new attempt from the last checkpoint may succeed."""
        return self in _RETRYABLE

    @property
    def counts(self) -> bool:
        """True when the attempt uses up one of `limits.maxRestarts`; an interruption from outside does not."""
        return self is not ExitCode.PREEMPTED


_RETRYABLE = frozenset(
    {
        ExitCode.INTERNAL_ERROR,
        ExitCode.PREEMPTED,
        ExitCode.STALLED,
        ExitCode.PEER_LOST,
        ExitCode.WORKSPACE_DAMAGED,
        ExitCode.SOURCE_UNAVAILABLE,
    }
)
