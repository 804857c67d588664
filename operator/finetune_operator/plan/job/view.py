"""What a policy of a FineTuneJob sees (View) and answers (Step): a decision, before it is rendered into a status."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from finetune_api.resources.common import ErrorStatus
from finetune_api.resources.finetune_job import FineTuneJobSpec
from finetune_api.resources.finetune_job_status import Attempt, FineTuneJobStatus, Phase, StageName
from finetune_operator.objects.records import BatchJob, Meta, Pod
from finetune_operator.plan.common.advice import with_advice
from finetune_operator.plan.common.clock import POLL
from finetune_operator.plan.common.conditions import ConditionUpdate, short
from finetune_operator.plan.common.observed import ObservedJob
from finetune_operator.plan.common.plan import ObjectRef
from finetune_operator.plan.job.attempts import ACTIVE, active, current_stage, job_of, pods_of


@dataclass(frozen=True, slots=True)
class View:
    """A snapshot of a FineTuneJob, and its current attempt."""

    observed: ObservedJob
    spec: FineTuneJobSpec
    status: FineTuneJobStatus
    now: float
    stage: StageName | None
    """The first stage that has not succeeded; None after the last."""
    attempt: Attempt | None
    """The attempt that has not ended; there is never more than one."""
    batch: BatchJob | None
    """The Job of the attempt."""
    pods: tuple[Pod, ...]
    """The pods of the attempt, by name."""

    @property
    def meta(self) -> Meta:
        """Of the FineTuneJob."""
        return self.observed.job.meta

    @property
    def lost_pods(self) -> tuple[Pod, ...]:
        """Pods of the attempt on nodes that do not respond."""
        return tuple(pod for pod in self.pods if pod.lost(self.now))

    def with_status(self, status: FineTuneJobStatus) -> "View":
        """The same snapshot with another status."""
        return view_of(self.observed, self.spec, status, self.now)


def view_of(observed: ObservedJob, spec: FineTuneJobSpec, status: FineTuneJobStatus, now: float) -> View:
    """Finds the current stage, its attempt, and the Job and pods of that."""
    attempt = active(status)
    batch = job_of(observed, attempt) if attempt else None
    pods = pods_of(observed, attempt, batch) if attempt else ()
    return View(observed, spec, status, now, current_stage(status), attempt, batch, pods)


@dataclass(frozen=True, slots=True)
class Step:
    """A decision: phase, reason and message of the job, and what to do."""

    status: FineTuneJobStatus
    phase: Phase
    reason: str
    message: str
    end: Literal["", "Complete", "Failed"] = ""
    warning: bool = False
    """The reason needs attention."""
    apply: tuple[dict[str, Any], ...] = ()
    create: tuple[dict[str, Any], ...] = ()
    delete: tuple[ObjectRef, ...] = ()
    conditions: tuple[ConditionUpdate, ...] = ()
    """Beside those that follow from the decision."""
    requeue_after: float | None = None


Policy = Callable[[View], Step | None]
"""None: not applicable, the next policy decides."""


def failure(
    view: View, reason: str, message: str, *, param: str | None = None, object: str | None = None, status: FineTuneJobStatus | None = None
) -> Step:
    """The job fails; the error of its last attempt is kept if it has the same code."""
    status = status or view.status
    error = status.error
    if error is None or error.code != reason:
        error = ErrorStatus(code=short(reason, 128), message=short(message, 8192), param=param, object=object)
    return Step(status.model_copy(update={"error": error}), "Failed", reason, message, end="Failed", warning=True)


def waiting(
    view: View, reason: str, message: str, *, object: str | None = None, param: str | None = None, requeue_after: float = 15.0
) -> Step:
    """Nothing can start until another object changes."""
    error = ErrorStatus(code=reason, message=short(message, 8192), object=object, param=param) if object else view.status.error
    status = view.status.model_copy(update={"error": error})
    return Step(status, resting_phase(view.status), reason, message, warning=object is not None, requeue_after=requeue_after)


def node_lost(view: View, phase: Phase, pod: Pod) -> Step:
    """A pod of the attempt is on a node that does not respond."""
    message = with_advice(f"pod {pod.meta.name} on node {pod.node} is not responding", "NodeLost")
    return Step(view.status, phase, "NodeLost", message, warning=True, requeue_after=POLL)


def resting_phase(status: FineTuneJobStatus) -> Phase:
    """The phase while no pod runs: Pending before the first attempt, Starting between attempts, Evaluating after the last."""
    if current_stage(status) is None:
        return "Evaluating"
    return "Starting" if any(attempt.state not in ACTIVE for attempt in status.attempts) else "Pending"
