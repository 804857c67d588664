"""What the exits of a node's ranks come to."""

import signal

import pytest

from finetune_api.exit_codes import ExitCode
from finetune_api.result import StageError
from finetune_trainer.train.launch.exchange import RankFailure
from finetune_trainer.train.launch.outcome import Exit, outcome

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("codes", "terminated", "expected"),
    [
        ({0: 0, 1: 0}, False, None),
        ({0: 3, 1: 3}, False, ExitCode.INVALID_INPUT),
        ({0: 44, 1: 44}, False, ExitCode.DIVERGED),
        ({0: 45, 1: -9}, False, 137),  # the cause was seen after its consequence
        ({1: -9, 0: 45}, False, 137),
        ({0: 45, 1: 1}, False, ExitCode.INTERNAL_ERROR),
        ({0: 28, 1: 45}, False, ExitCode.STORAGE_FULL),
        ({0: 45, 1: 45}, False, ExitCode.PEER_LOST),
        ({0: 42, 1: 42}, True, ExitCode.PREEMPTED),
        ({0: 42, 1: 45}, True, ExitCode.PREEMPTED),
        ({0: -15, 1: -15}, True, ExitCode.PREEMPTED),  # before their handlers were there
        ({0: -15, 1: 45}, False, 143),  # somebody else's SIGTERM
        ({0: 42, 1: -11}, True, 139),
        ({0: -6, 1: -6}, False, ExitCode.PEER_LOST),  # NCCL's abort
        ({0: -6, 1: -9}, False, 137),
        ({0: -6, 1: 28}, False, ExitCode.STORAGE_FULL),
    ],
)
def test_exit_code(codes: dict[int, int], terminated: bool, expected: int | None) -> None:
    """The first failure that is not another's consequence gives the exit code."""
    failure = outcome([Exit(rank, code) for rank, code in codes.items()], {}, terminated=terminated, processes=len(codes))
    assert (failure.exit_code if failure else None) == expected


def test_the_failing_rank_speaks() -> None:
    """The message is the one that the rank at the root left, with its code and field."""
    error = StageError(code="StorageFull", message="the volume is full", param="workspace.storage.size", details=["a"])
    failures = {
        0: RankFailure(exit_code=45, error=StageError(code="PeerLost", message="lost")),
        1: RankFailure(exit_code=28, error=error),
    }
    failure = outcome([Exit(0, 45), Exit(1, 28)], failures, terminated=False)
    assert failure is not None
    assert failure.error == error


def test_a_killed_rank_is_spoken_for() -> None:
    """A rank that could not say anything gets words that name it and what to change, and not those of an earlier failure."""
    failures = {1: RankFailure(exit_code=1, error=StageError(code="InternalError", message="before"))}
    failure = outcome([Exit(1, -signal.SIGKILL)], failures, terminated=False)
    assert failure is not None
    assert failure.error.code == "RankKilled"
    assert "rank 1" in failure.error.message
    assert "training.resources.limits.memory" in failure.error.message


def test_an_abort_is_a_lost_peer_only_without_a_message_and_with_other_ranks() -> None:
    """A rank that left a message before it aborted failed for that reason; a single process has no peer to lose."""
    assert getattr(outcome([Exit(0, -signal.SIGABRT)], {}, terminated=False), "exit_code", None) == 128 + signal.SIGABRT
    said = {0: RankFailure(exit_code=1, error=StageError(code="InternalError", message="before"))}
    failure = outcome([Exit(0, -signal.SIGABRT), Exit(1, 45)], said, terminated=False, processes=2)
    assert failure is not None
    assert failure.exit_code == 128 + signal.SIGABRT
