"""SIGTERM is never lost, whatever the code does that it arrives in."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from finetune_api.exit_codes import ExitCode
from finetune_api.result import StageResult
from finetune_api.run_config import RunConfig
from finetune_trainer.stage import interruption
from finetune_trainer.stage.interruption import Stopped, listening
from finetune_trainer.stage.progress import ProgressPrinter
from finetune_trainer.stage.stage import run_stage
from finetune_trainer.workspace.workspace import Workspace

pytestmark = pytest.mark.unit


def sigterm() -> None:
    """What the kubelet sends."""
    os.kill(os.getpid(), signal.SIGTERM)


def lose() -> None:
    """A library that takes every exception for one of its own."""
    try:
        sigterm()
    except BaseException:
        return
    raise AssertionError("it was not raised where it arrived")


def turn() -> None:
    """A library that makes another exception of it."""
    try:
        sigterm()
    except BaseException as exc:
        raise RuntimeError("broken") from exc


def config(folder: Path) -> RunConfig:
    """A run whose stages do nothing but what the test says."""
    paths = {"workspace": str(folder / "workspace"), "model": str(folder / "model")}
    base, rows = {"source": {"uri": "unused"}}, {"train": {"uri": "unused"}}
    job = {"name": "job", "specDigest": "spec-1"}
    return RunConfig.model_validate({"job": job, "base": base, "dataset": rows, "outputModel": "model", "paths": paths})


@pytest.mark.parametrize(
    "look",
    [interruption.check, interruption.last_check, lambda: ProgressPrinter("prepare").show("working")],
    ids=["check", "last check", "progress"],
)
def test_a_lost_exception_is_raised_again(look: Callable[[], None]) -> None:
    """At the next sign of progress, and before what cannot be taken back."""
    with listening():
        lose()
        with pytest.raises(Stopped):
            look()


def test_a_library_s_own_thread_is_not_stopped() -> None:
    """It would lose the exception, and take a part of its work for the whole."""
    with listening():
        lose()
        raised: list[BaseException] = []

        def look() -> None:
            try:
                interruption.check()
            except BaseException as exc:
                raised.append(exc)

        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert raised == []


def test_behind_the_last_check_nothing_is_interrupted() -> None:
    """Work that is being committed is committed."""
    with listening():
        interruption.last_check()
        sigterm()
        interruption.check()
        ProgressPrinter("prepare").show("prepared", force=True)


def test_another_listener_starts_anew() -> None:
    """What one program heard is nothing to the next one in this process."""
    with pytest.raises(Stopped), listening():
        sigterm()
    interruption.check()
    with listening():
        interruption.check()


@pytest.mark.parametrize("harm", [sigterm, turn], ids=["raised", "turned into another error"])
def test_a_stage_that_was_interrupted_says_so(harm: Callable[[], None], tmp_path: Path) -> None:
    """Exit code 42 with a result, whatever became of the exception."""

    def body() -> StageResult:
        harm()
        raise AssertionError("not reached")

    with listening():
        assert run_stage("publish", config(tmp_path), 1, body) == ExitCode.PREEMPTED
    result = StageResult.from_json(Workspace(tmp_path / "workspace").result("publish").read_bytes())
    assert result.error is not None
    assert (result.exit_code, result.error.code) == (ExitCode.PREEMPTED, "Preempted")


def test_a_success_is_not_undone(tmp_path: Path) -> None:
    """Rank 0 wrote the training's result; a signal to the launcher behind it changes nothing."""
    path = Workspace(tmp_path / "workspace").result("train")
    path.parent.mkdir(parents=True)
    success = StageResult(stage="train", spec_digest="spec-1").to_json()

    def body() -> StageResult:
        path.write_text(success)
        sigterm()
        raise AssertionError("not reached")

    with listening():
        assert run_stage("train", config(tmp_path), 1, body) == ExitCode.OK
    assert StageResult.from_json(path.read_bytes()) == StageResult.from_json(success)
