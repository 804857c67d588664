"""How an attempt ended: from the results and states of its pods, or from the Job's condition when the pods are gone.

When one rank fails, the others fail as well, so the decisive pod is chosen: first a failure that a retry cannot fix, then a disruption
from outside, then the pod that ended first, and last a rank that only lost its peers.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from finetune_api.exit_codes import ExitCode
from finetune_api.resources.common import ErrorStatus
from finetune_api.result import Stage, StageError, StageResult
from finetune_operator.objects.records import BatchJob, Pod
from finetune_operator.plan.common.advice import field_of, with_advice
from finetune_operator.plan.common.conditions import short

OUT_OF_MEMORY = "OutOfMemory"
REASONS = {
    ExitCode.INTERNAL_ERROR: "InternalError",
    ExitCode.INVALID_INPUT: "InvalidInput",
    ExitCode.DOES_NOT_FIT: "DoesNotFit",
    ExitCode.STORAGE_FULL: "StorageFull",
    ExitCode.PREEMPTED: "Preempted",
    ExitCode.STALLED: "Stalled",
    ExitCode.DIVERGED: "Diverged",
    ExitCode.PEER_LOST: "PeerLost",
    ExitCode.WORKSPACE_DAMAGED: "WorkspaceDamaged",
    ExitCode.SOURCE_UNAVAILABLE: "SourceUnavailable",
    ExitCode.OUT_OF_MEMORY: OUT_OF_MEMORY,
}
DISRUPTIONS = {
    "PreemptionByScheduler": "Preempted",
    "EvictionByEvictionAPI": "Evicted",
    "DeletionByTaintManager": "NodeLost",
    "DeletionByPodGC": "NodeLost",
    "TerminationByKubelet": "Evicted",
}
SIGTERM, SIGKILL = 143, 137


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a failed attempt."""

    reason: str
    message: str
    retryable: bool
    counts: bool
    """False: an interruption from outside, which does not count against limits.maxRestarts."""
    exit_code: int | None = None
    error: StageError | None = None
    """As reported by the stage itself."""
    pod: str = ""


def outcome_of(stage: Stage, batch: BatchJob, pods: Sequence[Pod]) -> Outcome:
    """Classifies the failure of a Job whose pods have ended."""
    failed = [(pod, outcome) for pod in pods if (outcome := _pod_outcome(stage, pod))]
    if not failed:
        return _job_outcome(stage, batch)
    return min(failed, key=lambda item: (_weight(*item), item[0].finished or 0.0, item[0].meta.name))[1]


def stage_result(stage: Stage, pods: Sequence[Pod]) -> StageResult | None:
    """The result in a pod's termination message, if it is one of this stage."""
    for pod in pods:
        result = _parse(pod.exit_message)
        if result and result.stage == stage and pod.exit_code is not None:
            return result
    return None


def error_status(outcome: Outcome, log_tail: Sequence[str] = ()) -> ErrorStatus:
    """The failure as the status shows it; with the tail of the log only when the stage reported no error itself."""
    reported = outcome.error
    return ErrorStatus(
        code=short(outcome.reason, 128),
        message=short(outcome.message, 8192),
        param=short(reported.param, 256) if reported and reported.param else None,
        object=f"Pod {outcome.pod}" if outcome.pod and not reported else None,
        details=[short(line) for line in reported.details[:50]] if reported else [],
        last_log_lines=[] if reported else [short(line) for line in log_tail[-20:]],
    )


def _parse(message: str) -> StageResult | None:
    if not message.lstrip().startswith("{"):
        return None
    try:
        return StageResult.from_json(message)
    except ValidationError:
        return None


def _weight(pod: Pod, outcome: Outcome) -> int:
    if not outcome.retryable:
        return 0
    if pod.disruption or (pod.failure and not outcome.counts):
        return 1
    return 3 if outcome.exit_code == ExitCode.PEER_LOST else 2


def _pod_outcome(stage: Stage, pod: Pod) -> Outcome | None:
    """None for a pod that has not failed."""
    if pod.phase == "Succeeded" or pod.exit_code == 0:
        return None
    name = pod.meta.name
    result = _parse(pod.exit_message)
    error = result.error if result and result.stage == stage else None
    if pod.exit_reason == "OOMKilled":
        message = f"pod {name} was OOM-killed: the container reached its memory limit or the node ran out of memory"
        again = stage == "publish"  # killed repeatedly during an export, it skips that export
        return Outcome(OUT_OF_MEMORY, with_advice(message, OUT_OF_MEMORY, stage), again, again, pod.exit_code, pod=name)
    if error is not None and pod.exit_code:
        return _from_exit_code(stage, pod.exit_code, error.message, error, name)
    if pod.disruption:
        reason = DISRUPTIONS.get(pod.disruption, pod.disruption)
        message = f"pod {name} was disrupted: {pod.disruption} {pod.failure_message}".rstrip()
        return Outcome(reason, message, True, False, pod.exit_code, pod=name)
    if pod.failure:
        return _pod_failure(stage, pod)
    if pod.exit_code:
        return _from_exit_code(stage, pod.exit_code, _last_log_line(pod), None, name)
    return None


def _pod_failure(stage: Stage, pod: Pod) -> Outcome:
    """A pod that failed because of its node. Only exceeding its own ephemeral storage limit is the fault of the pod."""
    message = f"pod {pod.meta.name}: {pod.failure}: {pod.failure_message}"
    if pod.failure == "Evicted" and "exceeds the" in pod.failure_message:
        limit = f"raise {field_of(stage)}.resources.limits.ephemeral-storage"
        return Outcome("EphemeralStorageExceeded", f"{message}: {limit}", True, True, pod.exit_code, pod=pod.meta.name)
    return Outcome(pod.failure, message, True, False, pod.exit_code, pod=pod.meta.name)


def _from_exit_code(stage: Stage, code: int, message: str, error: StageError | None, pod: str) -> Outcome:
    if code == SIGTERM:
        return Outcome("Terminated", message or f"pod {pod} was terminated from outside (SIGTERM)", True, False, code, error, pod)
    if code == SIGKILL:
        return Outcome("Killed", message or f"pod {pod} was killed (SIGKILL)", True, True, code, error, pod)
    known = ExitCode(code) if code in ExitCode.__members__.values() else ExitCode.INTERNAL_ERROR
    reason = error.code if error else REASONS[known]
    text = message or f"{stage} exited with code {code}"
    return Outcome(reason, text if error else with_advice(text, reason, stage), known.retryable, known.counts, code, error, pod)


def _last_log_line(pod: Pod) -> str:
    """The last log line, from FallbackToLogsOnError, when the stage wrote no result."""
    lines = [line for line in pod.exit_message.splitlines() if line.strip()]
    return f"exit code {pod.exit_code}: {lines[-1].strip()}" if lines else f"exit code {pod.exit_code}"


def _job_outcome(stage: Stage, batch: BatchJob) -> Outcome:
    """What remains when the pods are gone: "Container trainer for pod ns/x failed with exit code 42 matching FailJob rule ..."."""
    message = batch.failure_message or f"Job {batch.meta.name} failed: {batch.failure_reason}"
    if "DisruptionTarget" in message:
        return Outcome("Disrupted", message, True, False)
    code = re.search(r"exit code (\d+)", message)
    if code:
        return _from_exit_code(stage, int(code[1]), message, None, "")
    return Outcome(batch.failure_reason or "JobFailed", message, True, True)
