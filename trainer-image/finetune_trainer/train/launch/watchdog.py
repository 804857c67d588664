"""Decides from the ranks' heartbeats when there is no hope left. Knows no processes, and no clock but the one it is shown."""

from collections.abc import Mapping

from finetune_api.exit_codes import ExitCode
from finetune_api.run_config import RunLimits
from finetune_trainer.failure import StageFailure
from finetune_trainer.train.launch.heartbeat import phase_of

TERM_PATIENCE = 90.0
"""Seconds without a sign of life after SIGTERM: within the pod's grace, so that the exit code still tells what happened."""
BEFORE_MEETING = ("starting", "joining")


class Watchdog:
    """Deadlines: for the ranks to meet, from then on for any of this node's to get on, and after SIGTERM a shorter one.

    Times are monotonic seconds.
    """

    def __init__(self, limits: RunLimits, meeting: str, now: float) -> None:
        """`meeting` says who is to meet and where, for the message."""
        self._limits = limits
        self._meeting = meeting
        self._started = self._changed = now
        self._seen: object = None
        self._term_sent: float | None = None

    def term_sent(self, now: float) -> None:
        """The ranks were sent SIGTERM: from now on there is less patience."""
        self._term_sent = now

    def look(self, beats: Mapping[int, str], moved: object, now: float) -> StageFailure | None:
        """The failure to end with; None while the ranks may still proceed.

        `beats` are the last ones of the ranks that run; `moved` is what else changes while they get on.
        """
        waiting = rank_before_meeting(beats)
        if waiting is not None or (beats, moved) != self._seen:
            self._seen, self._changed = (dict(beats), moved), now
        if waiting is not None and now - self._started >= self._limits.start_deadline:
            return StageFailure(
                ExitCode.PEER_LOST,
                "PeersNotFound",
                f"rank {waiting} did not connect to {self._meeting} within {self._limits.start_deadline:g} s (limits.startDeadline)",
            )
        if self._term_sent is not None and now - max(self._changed, self._term_sent) >= TERM_PATIENCE:
            return StageFailure(
                ExitCode.PREEMPTED,
                "Preempted",
                f"stopped by SIGTERM; no rank on this node made progress for {TERM_PATIENCE:g} s after it, so they were killed: the next "
                "attempt resumes from the last complete checkpoint",
            )
        if now - self._changed >= self._limits.stall_timeout:
            phases = ", ".join(f"rank {rank} {phase_of(beat)}" for rank, beat in sorted(beats.items()))
            return StageFailure(
                ExitCode.STALLED,
                "Stalled",
                f"no rank on this node made progress for {self._limits.stall_timeout:g} s (limits.stallTimeout): {phases}",
            )
        return None


def rank_before_meeting(beats: Mapping[int, str]) -> int | None:
    """The first rank that has not met the others yet, None when all have."""
    return next((rank for rank, beat in sorted(beats.items()) if phase_of(beat) in BEFORE_MEETING), None)
