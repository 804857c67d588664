"""What the exits of a node's ranks come to. Pure: no processes, no files, no clock."""

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from finetune_api.exit_codes import ExitCode
from finetune_trainer.failure import StageFailure
from finetune_trainer.train.launch.exchange import RankFailure

CONSEQUENCES: dict[int, int] = {ExitCode.PREEMPTED: 1, ExitCode.PEER_LOST: 2}
"""Exits that any other failure explains better; the higher the number, the less they say."""

ABORTED = 128 + signal.SIGABRT
"""How NCCL ends a rank whose peer is gone, if the rank could not leave a message."""


@dataclass(frozen=True)
class Exit:
    """A rank that ended by itself, not because the launcher killed it."""

    rank: int
    code: int
    """As subprocess has it: negative for a signal."""


def outcome(exits: Sequence[Exit], failures: Mapping[int, RankFailure], *, terminated: bool, processes: int = 1) -> StageFailure | None:
    """None when all ranks succeeded, else the failure that began it all.

    `exits` are in the order in which they were seen; `terminated` says that the launcher had passed on a SIGTERM. A lost
    peer is a consequence, so any other failure goes before it, even one that was seen later; `processes` is the world size.
    """
    bad = [Exit(exit.rank, effective(exit.code, terminated)) for exit in exits if exit.code != 0]
    if processes > 1:
        bad = [Exit(exit.rank, ExitCode.PEER_LOST) if exit.code == ABORTED and exit.rank not in failures else exit for exit in bad]
    if not bad:
        return None
    root = min(bad, key=lambda exit: CONSEQUENCES.get(exit.code, 0))
    said = failures.get(root.rank)
    if said is not None and said.exit_code == root.code:
        return StageFailure(said.exit_code, said.error.code, said.error.message, param=said.error.param, details=said.error.details)
    return StageFailure(root.code, *words(root))


def effective(code: int, terminated: bool) -> int:
    """The exit code that a shell would show; a rank that died of our SIGTERM had nothing to save yet."""
    if terminated and code == -signal.SIGTERM:
        return ExitCode.PREEMPTED
    return code if code >= 0 else 128 - code


def words(exit: Exit) -> tuple[str, str]:
    """Code and message for a rank that could not say anything itself."""
    if exit.code == ExitCode.PREEMPTED:
        return "Preempted", "stopped by SIGTERM before training began; the next attempt resumes from the last checkpoint"
    if exit.code == ExitCode.PEER_LOST:
        return "PeerLost", f"rank {exit.rank} was aborted, as NCCL does when it loses the connection to another rank"
    if exit.code == 128 + signal.SIGKILL:
        return "RankKilled", (
            f"rank {exit.rank} was killed (SIGKILL), most often because the pod ran out of memory: raise "
            "training.resources.limits.memory, set hyperparameters.gradientCheckpointing: true, or lower hyperparameters.maxSequenceLength"
        )
    if exit.code > 128:
        return "RankCrashed", f"rank {exit.rank} was killed by {signal_name(exit.code - 128)}; the pod's log has the details"
    return "RankFailed", f"rank {exit.rank} exited with code {exit.code} and no message; the pod's log has the details"


def signal_name(number: int) -> str:
    """SIGSEGV for 11."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
