"""The state of a rollout, from the Deployment and its pods."""

from collections.abc import Sequence
from dataclasses import dataclass

from finetune_api.resources.common import ErrorStatus
from finetune_api.resources.model_deployment import ModelDeploymentSpec
from finetune_operator.objects.records import Pod, Workload
from finetune_operator.plan.common.advice import with_advice
from finetune_operator.plan.common.blocked import Blocker, refusal_blocker, workload_blocker
from finetune_operator.plan.common.conditions import short
from finetune_operator.plan.common.observed import ObservedDeployment

DEADLINE = "ProgressDeadlineExceeded"


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether the wanted replicas serve, and if not, why."""

    ready: bool
    reason: str
    message: str
    stalled: bool = False
    error: ErrorStatus | None = None


def availability(observed: ObservedDeployment, spec: ModelDeploymentSpec, applied: bool, now: float) -> Availability:
    """`applied`: the Deployment has the wanted revision."""
    workload, wanted = observed.workload, spec.replicas
    refused = refusal_blocker(observed.refusal)
    if workload is None or not applied:
        return _held(refused) if refused else Availability(False, "Applying", "the Deployment is being applied")
    if refused and not observed.service_exists:
        return _held(refused)  # pods may serve, but are not reachable
    if _rolled_out(workload, wanted):
        if wanted == 0:
            return Availability(True, "ScaledToZero", "replicas is 0")
        return Availability(True, "Serving", f"{workload.available} of {wanted} replicas serve")
    blocker = refused or _blocker(workload, observed, now)
    late = workload.progressing_reason == DEADLINE and workload.observed_generation >= workload.meta.generation
    if blocker:
        return _held(blocker, late)
    ready = min(workload.ready, wanted)
    message = f"{ready} of {wanted} replicas are ready, {workload.updated} belong to the latest revision"
    if late:
        return _held(Blocker(DEADLINE, f"no progress within progressDeadline ({spec.progress_deadline}): {message}"), late)
    return Availability(False, "RollingOut", message)


def _blocker(workload: Workload, observed: ObservedDeployment, now: float) -> Blocker | None:
    """The blocker of the newest pod that has one; terminating pods count only when they are on a lost node."""
    pods = sorted((pod for pod in observed.pods if not pod.meta.deleting), key=lambda pod: -pod.meta.created)
    found = workload_blocker(workload.meta.name, pods, observed.warnings, now) or _crash(pods)
    if (found is None or found.queued) and (gone := [pod for pod in observed.pods if pod.lost(now)]):
        return Blocker("NodeLost", f"its node {gone[0].node} is not responding", f"Node {gone[0].node}", pod=gone[0].meta.name)
    return found or (Blocker("Refused", workload.failure_message) if workload.failure_message else None)


def _rolled_out(workload: Workload, wanted: int) -> bool:
    if workload.observed_generation < workload.meta.generation or workload.spec_replicas != wanted:
        return False
    return workload.updated == workload.replicas == workload.available == wanted


def _held(blocker: Blocker, stalled: bool = False) -> Availability:
    where = f"pod {blocker.pod}: " if blocker.pod else ""
    message = with_advice(f"{where}{blocker.message}", blocker.reason, "server")
    error = ErrorStatus(code=blocker.reason, message=short(message, 8192), object=blocker.object or None)
    return Availability(False, blocker.reason, message, stalled, error)


def _crash(pods: Sequence[Pod]) -> Blocker | None:
    """The kubelet restarts a server that exits; its last log line says why."""
    for pod in pods:
        if pod.ready or not (pod.exit_code or pod.waiting_reason == "CrashLoopBackOff"):
            continue
        lines = [line for line in pod.exit_message.splitlines() if line.strip()]
        last_line = lines[-1].strip() if lines else pod.waiting_message or "no output"
        if pod.exit_reason == "OOMKilled":
            return Blocker("OutOfMemory", "the server was OOM-killed", f"Pod {pod.meta.name}", pod=pod.meta.name)
        return Blocker("ServerCrashes", f"exited with code {pod.exit_code}: {last_line}", f"Pod {pod.meta.name}", pod=pod.meta.name)
    return None
