"""When the launcher gives its ranks up."""

import pytest

from finetune_api.exit_codes import ExitCode
from finetune_api.run_config import RunLimits
from finetune_trainer.train.launch.watchdog import Watchdog

pytestmark = pytest.mark.unit
LIMITS = RunLimits(start_deadline=100, stall_timeout=30)
MET = {0: "training 5", 1: "training 5"}


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        # (time, beats, bytes written)
        ([(99, {0: "", 1: ""}, 0)], None),
        ([(100, {0: "", 1: ""}, 0)], ExitCode.PEER_LOST),
        ([(100, {0: "training 1", 1: "joining 2"}, 0)], ExitCode.PEER_LOST),
        ([(90, {0: "joining 2"}, 0), (99, {0: "loading 3"}, 0), (128, {0: "loading 3"}, 0)], None),
        ([(99, {0: "loading 3"}, 0), (129, {0: "loading 3"}, 0)], ExitCode.STALLED),
        ([(99, {0: "loading 3"}, 0), (128, {0: "loading 3"}, 1), (157, {0: "loading 3"}, 1)], None),
        ([(99, {0: "loading 3"}, 0), (128, {0: "loading 3"}, 1), (158, {0: "loading 3"}, 1)], ExitCode.STALLED),
        ([(10, MET, 0), (39, MET, 0)], None),
        ([(10, MET, 0), (40, MET, 0)], ExitCode.STALLED),
        ([(10, MET, 0), (39, MET | {1: "training 6"}, 0), (68, MET | {1: "training 6"}, 0)], None),
        ([(10, MET, 0), (39, MET | {1: "training 6"}, 0), (69, MET | {1: "training 6"}, 0)], ExitCode.STALLED),
        ([(10, MET, 7), (39, MET, 8), (68, MET, 9)], None),
        ([(10, MET, 7), (39, MET, 8), (69, MET, 8)], ExitCode.STALLED),
        ([(200, MET, 0), (229, MET, 0)], None),
    ],
)
def test_deadlines(looks: list[tuple[float, dict[int, str], int]], expected: ExitCode | None) -> None:
    """The start deadline holds until all have met, the stall timeout from then on; a growing checkpoint and a rank that loads get on."""
    watchdog = Watchdog(LIMITS, "all of the 2 ranks at job-0.job:29400", now=0)
    *before, last = [watchdog.look(beats, written, now) for now, beats, written in looks]
    assert not any(before)
    assert (last.exit_code if last else None) == expected


def test_messages() -> None:
    """They name the limit, its value, and who is waited for."""
    watchdog = Watchdog(LIMITS, "all of the 2 ranks at job-0.job:29400", now=0)
    lost = watchdog.look({0: "joining 2"}, 0, 100)
    assert str(lost) == "rank 0 did not connect to all of the 2 ranks at job-0.job:29400 within 100 s (limits.startDeadline)"
    watchdog.look(MET, 0, 101)
    stalled = watchdog.look(MET, 0, 131)
    assert str(stalled) == "no rank on this node made progress for 30 s (limits.stallTimeout): rank 0 training, rank 1 training"


@pytest.mark.parametrize(
    ("term", "looks", "expected"),
    [
        # (time, beats, bytes written)
        (50, [(50, MET, 0), (139, MET, 0)], None),
        (50, [(50, MET, 0), (140, MET, 0)], ExitCode.PREEMPTED),
        (50, [(10, MET, 0), (139, MET, 0)], None),
        (50, [(10, MET, 0), (140, MET, 0)], ExitCode.PREEMPTED),
        (50, [(10, MET, 0), (130, MET | {1: "saving 6"}, 0), (219, MET | {1: "saving 6"}, 0)], None),
        (50, [(10, MET, 0), (130, MET | {1: "saving 6"}, 0), (220, MET | {1: "saving 6"}, 0)], ExitCode.PREEMPTED),
        (50, [(10, MET, 7), (130, MET, 8), (219, MET, 8)], None),
        (None, [(10, MET, 0), (500, MET, 0)], None),
    ],
)
def test_sigterm_shortens_the_patience(
    term: float | None, looks: list[tuple[float, dict[int, str], int]], expected: ExitCode | None
) -> None:
    """Ranks that hang are given up 90 s after SIGTERM or their last sign of life after it, long before the stall timeout."""
    watchdog = Watchdog(RunLimits(start_deadline=100, stall_timeout=1800), "both ranks", now=0)
    if term is not None:
        watchdog.term_sent(term)
    *before, last = [watchdog.look(beats, written, now) for now, beats, written in looks]
    assert not any(before)
    assert (last.exit_code if last else None) == expected
