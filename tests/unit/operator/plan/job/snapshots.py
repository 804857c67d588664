"""Snapshots of a FineTuneJob for the tests of its policies."""

from typing import Any

from finetune_api.resources.finetune_job_status import Attempt, FineTuneJobStatus
from finetune_operator.objects.records import FineTunedModel, Pod
from finetune_operator.plan.common.clock import rfc3339
from finetune_operator.plan.common.conditions import find
from finetune_operator.plan.common.observed import ObservedJob
from finetune_operator.plan.common.plan import Plan
from finetune_operator.plan.job.plan_job import plan_job
from tests.unit.operator.samples import (
    JOB_UID,
    SETTINGS,
    T,
    batch,
    claim,
    condition,
    ended_pod,
    job,
    model,
    pod,
)


def attempt(stage: str, number: int, state: str = "Succeeded", **more: Any) -> Attempt:
    shape = {"job_uid": f"uid-tune-{stage}-{number}", "started_at": rfc3339(T), "running_at": rfc3339(T), "finished_at": rfc3339(T)}
    return Attempt.model_validate({"stage": stage, "number": number, "state": state, **shape, **more})


def status(*attempts: Attempt, **more: Any) -> FineTuneJobStatus:
    conditions = [condition("Suspended", "False", "Running")]
    return FineTuneJobStatus(**{"attempts": list(attempts), "started_at": rfc3339(T), "image": "pinned", "conditions": conditions, **more})


def observed(state: FineTuneJobStatus, spec_: dict[str, Any] | None = None, **more: Any) -> ObservedJob:
    own = {"tune-workspace": claim("tune-workspace", owners=frozenset({JOB_UID}))}
    return ObservedJob(job(state, **(spec_ or {})), SETTINGS, **{"claims": own, **more})


def active(stage: str, number: int = 1, **more: Any) -> Attempt:
    return attempt(stage, number, "Pending", finished_at=None, **{"running_at": None, **more})


def shown(plan: Plan) -> tuple[str | None, str | None]:
    assert isinstance(plan.status, FineTuneJobStatus)
    return plan.status.phase, plan.status.reason


def status_of(plan: Plan) -> FineTuneJobStatus:
    assert isinstance(plan.status, FineTuneJobStatus)
    return plan.status


def created(plan: Plan) -> list[str]:
    return [obj["metadata"]["name"] for obj in plan.create if obj["kind"] == "Job"]


def ready_message(plan: Plan) -> str:
    found = find(status_of(plan).conditions, "Ready")
    assert found is not None
    return found.message


DONE = (attempt("prepare", 1), attempt("train", 1), attempt("publish", 1))


def running(stage: str, code: int, message: str = "", **more: Any) -> ObservedJob:
    """A stage's first attempt whose pod has ended."""
    name = f"tune-{stage}-1"
    before = {"prepare": (), "train": DONE[:1], "publish": DONE[:2]}[stage]
    state = status(*before, attempt(stage, 1, "Running", finished_at=None), **more.pop("status", {}))
    over = {"complete": True} if code == 0 else {"failure_reason": "PodFailurePolicy"}
    jobs = {name: batch(name, terminated=True, finished=T + 100, **over)}
    pods = more.pop("pods", (ended_pod(f"{name}-0-x", name, code, message),))
    return observed(state, jobs=jobs, pods=pods, **more)


def starting(found: tuple[Pod, ...] = (), now: float = T + 30, limits: dict[str, Any] | None = None, **more: Any) -> Plan:
    state = status(active("prepare"), **more.pop("status", {}))
    jobs = {"tune-prepare-1": batch("tune-prepare-1", **more.pop("batch", {}))}
    return plan_job(observed(state, {"limits": limits or {}}, jobs=jobs, pods=found, **more), now)


def waiting_pod(**more: Any) -> Pod:
    return pod("tune-prepare-1-0-x", "tune-prepare-1", **{"phase": "Pending", "started": None, **more})


def named(annotations: dict[str, str], **more: Any) -> FineTunedModel:
    return model("tune", annotations=annotations, **more)
