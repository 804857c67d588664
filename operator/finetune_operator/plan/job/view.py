"""What a policy of a FineTuneJob sees, and what it answers: one decision, before it is rendered into a status."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from finetune_api.resources.common import ErrorStatus
from finetune_api.resources.finetune_job import FineTuneJobSpec
from finetune_api.resources.finetune_job_status import FineTuneJobStatus, Phase, StageName
from finetune_operator.plan.common.conditions import short
from finetune_operator.plan.common.observed import ObservedJob
from finetune_operator.plan.common.plan import ObjectRef
from finetune_operator.plan.job.attempts import ACTIVE, current_stage

RUNNING_PHASE: dict[StageName, Phase] = {"prepare": "Validating", "train": "Training", "publish": "Evaluating"}


@dataclass(frozen=True, slots=True)
class View:
    """A FineTuneJob with its attempts synced up to now."""

    observed: ObservedJob
    spec: FineTuneJobSpec
    status: FineTuneJobStatus
    now: float


@dataclass(frozen=True, slots=True)
class Step:
    """A decision: where the job stands, in words and as a phase, and what to do."""

    status: FineTuneJobStatus
    phase: Phase
    reason: str
    message: str
    end: Literal["", "Complete", "Failed"] = ""
    warning: bool = False
    """The reason is one that somebody should look at."""
    apply: tuple[dict[str, Any], ...] = ()
    create: tuple[dict[str, Any], ...] = ()
    delete: tuple[ObjectRef, ...] = ()
    requeue_after: float | None = None


Policy = Callable[[View], Step | None]
"""None: this policy has nothing against going on to the next one."""


def failure(
    view: View, reason: str, message: str, *, param: str | None = None, object: str | None = None, status: FineTuneJobStatus | None = None
) -> Step:
    """The end of a job that failed; keeps the error of its last attempt when it has the same code."""
    status = status or view.status
    error = status.error
    if error is None or error.code != reason:
        error = ErrorStatus(code=short(reason, 128), message=short(message, 8192), param=param, object=object)
    return Step(status.model_copy(update={"error": error}), "Failed", reason, message, end="Failed", warning=True)


def waiting(view: View, reason: str, message: str, *, object: str | None = None, requeue_after: float = 15.0) -> Step:
    """Nothing can be started until something else is there."""
    error = ErrorStatus(code=reason, message=short(message, 8192), object=object) if object else view.status.error
    status = view.status.model_copy(update={"error": error})
    return Step(status, resting_phase(view.status), reason, message, warning=object is not None, requeue_after=requeue_after)


def resting_phase(status: FineTuneJobStatus) -> Phase:
    """The phase while no pod runs: Pending before the first attempt, Starting between attempts, Evaluating after the last."""
    if current_stage(status) is None:
        return "Evaluating"
    return "Starting" if any(attempt.state not in ACTIVE for attempt in status.attempts) else "Pending"
