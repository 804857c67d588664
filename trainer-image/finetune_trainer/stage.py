"""The frame around every stage: repeat a finished result, run the body, turn any error into a result, exit with its code."""

import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from finetune_api.exit_codes import ExitCode
from finetune_api.result import TERMINATION_LOG, Stage, StageResult
from finetune_api.run_config import RunConfig
from finetune_trainer import interruption
from finetune_trainer.doings import doings
from finetune_trainer.failure import StageFailure, explain, invalid
from finetune_trainer.files import write_atomic
from finetune_trainer.interruption import Stopped
from finetune_trainer.progress import pulse
from finetune_trainer.stall import watched
from finetune_trainer.workspace import Workspace

LAST_WORDS = 10.0
"""Seconds for the last words of a stage that hangs: it may hang on the volume that its result and its log are on."""


def load_run_config(path: str) -> RunConfig:
    """Reads run.json; raises StageFailure naming the field that is wrong."""
    try:
        return RunConfig.from_json(Path(path).read_bytes())
    except OSError as exc:
        raise invalid("RunConfigNotFound", f"cannot read the run config {path}: {exc.strerror}") from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise invalid("InvalidRunConfig", f"{path}: {field}: {first['msg']} (got {first['input']!r})", param=field) from exc


def nothing_lost() -> str:
    """For a stage whose work others look after."""
    return ""


def run_stage(
    stage: Stage, config: RunConfig, attempt: int, body: Callable[[], StageResult], lost: Callable[[], str] = nothing_lost
) -> int:
    """Runs `body` unless this stage has already succeeded for the same spec; returns the exit code.

    A success counts only while what it left is there: `lost` says what of it is not, empty for nothing.

    The result is written to the workspace first and to the termination log second. Failures are written, too, but a
    later attempt runs again; a success that is there already (rank 0 writes that of a training) is not undone by them.
    """
    path = Workspace(config.paths.workspace).result(stage)
    done = finished_result(path, config)
    if done is not None:
        if not (gone := lost()):
            print(f"{stage} has already succeeded; repeating its result", flush=True)
            return report(done)
        print(f"{stage} has already succeeded, but {gone}", flush=True)
        path.unlink()
    try:
        with watched(config.limits.stall_timeout, SIGNS[stage], lambda: end_stalled(stage, config, attempt)):
            result = body()
    except BaseException as exc:
        interruption.close()
        result = finished_result(path, config) or failed_result(stage, config, attempt, exc)
    interruption.close()
    try:
        write_atomic(path, result.to_json(indent=2))
    except OSError as exc:  # a full or missing workspace must not hide the stage's own failure
        if result.exit_code == ExitCode.OK:
            result = failed_result(stage, config, attempt, exc)
    return report(result)


def signs_of_libraries() -> object:
    """Of a stage whose work is done in libraries that are silent for long."""
    return pulse.count, doings(os.getpid())


SIGNS: dict[Stage, Callable[[], object]] = {
    "prepare": lambda: pulse.count,  # its loops are our own, and one that turns for ever computes, too
    "train": time.monotonic,  # the launcher watches its ranks
    "publish": signs_of_libraries,
}
"""What changes while a stage gets on."""


def end_stalled(stage: Stage, config: RunConfig, attempt: int) -> None:
    """The end of a stage that hangs, from another thread: with its result and its message, unless these would hang as well."""
    said = (
        f"{stage} made no progress for {config.limits.stall_timeout:g} s (limits.stallTimeout); last activity: {pulse.activity or 'start'}"
    )
    result = failed_result(stage, config, attempt, StageFailure(ExitCode.STALLED, "Stalled", said))
    path = Workspace(config.paths.workspace).result(stage)
    words = (lambda: report(result), lambda: write_atomic(path, result.to_json(indent=2)))
    threads = [threading.Thread(target=say, daemon=True) for say in words]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LAST_WORDS)
    os._exit(result.exit_code)


def finished_result(path: Path, config: RunConfig) -> StageResult | None:
    """The success that an earlier attempt of the same job left, or None."""
    try:
        result = StageResult.from_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    same = result.spec_digest == config.job.spec_digest
    return result if same and result.exit_code == ExitCode.OK and result.error is None else None


def failed_result(stage: Stage, config: RunConfig, attempt: int, exc: BaseException) -> StageResult:
    """The result that `exc` comes to; the traceback of an unforeseen error goes to the log, not to the user.

    After SIGTERM such an error is a consequence: of an exception that a library turned into another one.
    """
    failure = explain(exc)
    if failure.exit_code == ExitCode.INTERNAL_ERROR and failure is not exc:
        traceback.print_exception(exc)
        failure = explain(Stopped()) if interruption.asked() else failure
    return StageResult(stage=stage, spec_digest=config.job.spec_digest, attempt=attempt, exit_code=failure.exit_code, error=failure.error)


def report(result: StageResult) -> int:
    """Tells the world: the termination message for the operator, words on standard error for people."""
    if os.access(TERMINATION_LOG, os.W_OK):
        with contextlib.suppress(OSError):  # a node whose disk is full must not change the exit code
            Path(TERMINATION_LOG).write_text(result.termination_message())
    if result.error is not None:
        print(f"{result.stage} failed: {result.error.message}", *result.error.details, sep="\n  ", file=sys.stderr, flush=True)
    return result.exit_code
