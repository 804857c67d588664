"""kill -9 of a launcher or of a rank at random moments: the next attempt goes on, and the end is that of an undisturbed run."""

import os
import random
import signal
import time
from contextlib import suppress
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest

from finetune_api.exit_codes import ExitCode
from finetune_api.run_config import RunStrategy
from tests.strategies.test_matrix import LIMITS, named
from tests.trainer.train.runs import DDP, FSDP, FULL, LORA, ZERO, Launched, Run, prepare_workspace

pytestmark = [pytest.mark.strategies, pytest.mark.timeout(1800)]
KILLS = 5
"""For each strategy, in as many runs as it takes."""
BEGUN = "looking for a checkpoint"
RUNS = [(DDP, LORA, 1), (DDP, FULL, 2), (FSDP, LORA, 2), (ZERO[2], FULL, 2)]


def new_run(folder: Path, base: Path, strategy: RunStrategy, method: dict[str, object], processes: int) -> Run:
    """Thirty steps, with a checkpoint after every other."""
    workspace = prepare_workspace(folder, base, method=method, strategy=strategy, total_steps=30)
    return Run(workspace, method, processes=processes, limits=LIMITS, keep=2)


def began(launched: Launched) -> float:
    """When the ranks have met, by time.monotonic."""
    launched.wait_until(lambda: BEGUN in launched.log())
    return time.monotonic()


def killed(run: Run, attempt: int, seconds: float) -> bool:
    """Whether one of the attempt's processes was killed so many seconds after its ranks had met, before the run was complete."""
    launched = run.start(attempt)
    time.sleep(max(0.0, began(launched) + seconds - time.monotonic()))
    with suppress(OSError):  # it has ended
        launcher = launched.process.pid
        ranks = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
        os.kill(random.choice([launcher, *map(int, ranks)]), signal.SIGKILL)
    return launched.wait() != ExitCode.OK


def complete(run: Run) -> bool:
    """Whether an attempt has left the result of a success."""
    return run.workspace.result("train").exists() and run.result().error is None


def weights(run: Run) -> dict[str, str]:
    """Digests of what was trained, by name."""
    trained = run.workspace.trained
    return {path.relative_to(trained).as_posix(): sha256(path.read_bytes()).hexdigest() for path in trained.rglob("*.safetensors")}


@pytest.mark.parametrize(("strategy", "method", "processes"), RUNS, ids=[f"{named(one)}-{processes}" for one, _, processes in RUNS])
def test_kill_9_at_any_moment(strategy: RunStrategy, method: dict[str, object], processes: int, tmp_path: Path, tiny: Path) -> None:
    """Losses and weights are equal bit for bit, whenever and however often."""
    whole = new_run(tmp_path / "whole", tiny, strategy, method, processes)
    launched = whole.start()
    start = began(launched)
    assert launched.wait() == ExitCode.OK, launched.log()
    length = time.monotonic() - start
    kills = 0
    for number in count():
        run = new_run(tmp_path / f"killed-{number}", tiny, strategy, method, processes)
        moments: list[float] = []
        while kills < KILLS and not complete(run):
            moments.append(random.uniform(0, length))
            kills += killed(run, len(moments), moments[-1])
        assert complete(run) or run.attempt(len(moments) + 1) == ExitCode.OK, moments
        assert [(step.step, step.loss) for step in run.metrics()] == [(step.step, step.loss) for step in whole.metrics()], moments
        assert weights(run) == weights(whole) != {}, moments
        if kills == KILLS:
            return
