"""Runs a stage: repeats a finished result, or runs the body, turns errors into results, and returns the exit code."""

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
from finetune_trainer.failure import StageFailure, explain, invalid
from finetune_trainer.stage import interruption
from finetune_trainer.stage.activity import doings
from finetune_trainer.stage.interruption import Stopped
from finetune_trainer.stage.progress import pulse
from finetune_trainer.stage.stall import watched
from finetune_trainer.workspace.files import write_atomic
from finetune_trainer.workspace.workspace import Workspace

LAST_WORDS = 10.0
"""Seconds for reporting that a stage hangs: it may hang on the volume to which its result and log are written."""


def load_run_config(path: str) -> RunConfig:
    """Reads run.json; raises StageFailure naming the invalid field."""
    try:
        return RunConfig.from_json(Path(path).read_bytes())
    except OSError as exc:
        raise invalid("RunConfigNotFound", f"cannot read the run config {path}: {exc.strerror}") from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise invalid("InvalidRunConfig", f"{path}: {field}: {first['msg']} (got {first['input']!r})", param=field) from exc


def nothing_lost() -> str:
    """For a stage without files to verify."""
    return ""


def run_stage(
    stage: Stage, config: RunConfig, attempt: int, body: Callable[[], StageResult], lost: Callable[[], str] = nothing_lost
) -> int:
    """Runs `body` unless this stage has already succeeded for the same spec; returns the exit code.

    An earlier success counts only while its files are intact: `lost` describes what is missing, or is empty.

    The result is written to the workspace first, then to the termination log. Failures are also written, but a later attempt runs
    again; they do not replace a success that is already there (rank 0 writes that of a training).
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
    """For a stage whose libraries do not report progress."""
    return pulse.count, doings(os.getpid())


SIGNS: dict[Stage, Callable[[], object]] = {
    "prepare": lambda: pulse.count,  # its loops report progress, and an endless loop uses CPU time, too
    "train": time.monotonic,  # the launcher watches its ranks
    "publish": signs_of_libraries,
}
"""What changes while a stage makes progress."""


def end_stalled(stage: Stage, config: RunConfig, attempt: int) -> None:
    """Ends a stage that hangs, from another thread; reports its result unless that hangs as well."""
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
    """The success of an earlier attempt of the same job, or None."""
    try:
        result = StageResult.from_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    same = result.spec_digest == config.job.spec_digest
    return result if same and result.exit_code == ExitCode.OK and result.error is None else None


def failed_result(stage: Stage, config: RunConfig, attempt: int, exc: BaseException) -> StageResult:
    """The result for `exc`; the traceback of an unexpected error goes to the log, not to the user.

    After SIGTERM such an error is a consequence: a library has replaced the exception by its own.
    """
    failure = explain(exc)
    if failure.exit_code == ExitCode.INTERNAL_ERROR and failure is not exc:
        traceback.print_exception(exc)
        failure = explain(Stopped()) if interruption.asked() else failure
    return StageResult(stage=stage, spec_digest=config.job.spec_digest, attempt=attempt, exit_code=failure.exit_code, error=failure.error)


def report(result: StageResult) -> int:
    """Reports a result: the termination message for the operator, the error on standard error for people."""
    if os.access(TERMINATION_LOG, os.W_OK):
        with contextlib.suppress(OSError):  # a node whose disk is full must not change the exit code
            Path(TERMINATION_LOG).write_text(result.termination_message())
    if result.error is not None:
        print(f"{result.stage} failed: {result.error.message}", *result.error.details, sep="\n  ", file=sys.stderr, flush=True)
    return result.exit_code
