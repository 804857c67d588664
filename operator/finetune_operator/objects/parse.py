"""From the API server's JSON to records. The JSON is trusted to be valid objects; a status may be incomplete or invalid."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from finetune_api.resources import GROUP
from finetune_api.resources.finetune_job import FineTuneJobSpec
from finetune_api.resources.finetune_job_status import FineTuneJobStatus
from finetune_api.resources.finetuned_model import FineTunedModelSpec, FineTunedModelStatus
from finetune_api.resources.model_deployment import ModelDeploymentSpec, ModelDeploymentStatus
from finetune_api.run_config import GpuType
from finetune_operator.objects.names import SERVER_CONTAINER, STAGE_CONTAINER
from finetune_operator.objects.records import (
    BatchJob,
    Claim,
    CustomResource,
    FineTunedModel,
    FineTuneJob,
    Meta,
    ModelDeployment,
    Pod,
    Presence,
    WarningEvent,
    Workload,
)
from finetune_operator.objects.resources import (
    CLAIMS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    FINETUNE_JOBS,
    FINETUNED_MODELS,
    JOBS,
    MODEL_DEPLOYMENTS,
    PODS,
    SERVICES,
    Resource,
)

LOG = logging.getLogger(__name__)

Raw = Mapping[str, Any]
Record = CustomResource | BatchJob | Pod | Claim | Workload | Presence
Document = TypeVar("Document", bound=BaseModel)


def parse(resource: Resource, raw: Raw) -> Record:
    """The record of an object."""
    return _PARSERS[resource.kind](raw)


def readable(resource: Resource, raw: Raw) -> Record | None:
    """As `parse`; None, and a log line, for an object that cannot be parsed, so that one object does not affect the others."""
    try:
        return parse(resource, raw)
    except Exception:
        LOG.exception("%s %s cannot be parsed", resource.kind, (raw.get("metadata") or {}).get("name"))
        return None


def timestamp(text: str | None) -> float:
    """A Kubernetes time as seconds since the epoch; 0 when it is missing or invalid: the API server accepts the year 0."""
    try:
        return max(0.0, datetime.fromisoformat(text).timestamp()) if text else 0.0
    except (ValueError, OverflowError):
        return 0.0


def _moment(text: str | None) -> float | None:
    return timestamp(text) or None


def meta(raw: Raw) -> Meta:
    """Metadata of an object, with our own annotations only."""
    m = raw["metadata"]
    return Meta(
        namespace=m.get("namespace", ""),
        name=m["name"],
        uid=m["uid"],
        resource_version=int(m["resourceVersion"]),
        generation=m.get("generation", 0),
        created=timestamp(m.get("creationTimestamp")),
        deleting="deletionTimestamp" in m,
        labels=m.get("labels") or {},
        annotations={k: v for k, v in (m.get("annotations") or {}).items() if k.partition("/")[0] == GROUP},
        owners=frozenset(owner["uid"] for owner in m.get("ownerReferences") or ()),
    )


def _finetune_job(raw: Raw) -> FineTuneJob:
    spec, error = _spec(FineTuneJobSpec, raw)
    return FineTuneJob(meta(raw), spec, _status(FineTuneJobStatus, raw), error)


def _finetuned_model(raw: Raw) -> FineTunedModel:
    spec, error = _spec(FineTunedModelSpec, raw)
    return FineTunedModel(meta(raw), spec, _status(FineTunedModelStatus, raw), error)


def _model_deployment(raw: Raw) -> ModelDeployment:
    spec, error = _spec(ModelDeploymentSpec, raw)
    return ModelDeployment(meta(raw), spec, _status(ModelDeploymentStatus, raw), error)


def _spec(model: type[Document], raw: Raw) -> tuple[Document | None, str]:
    try:
        return model.model_validate(raw.get("spec") or {}), ""
    except ValidationError as error:
        return None, "; ".join(f"spec.{_path(e['loc'])}: {e['msg']}" for e in error.errors()[:5])


def _status(model: type[Document], raw: Raw) -> Document:
    """Invalid fields of a status are dropped: they are written again."""
    status = dict(raw.get("status") or {})
    while True:
        try:
            return model.model_validate(status)
        except ValidationError as error:
            broken = {str(e["loc"][0]) for e in error.errors() if e["loc"]} & status.keys() or status.keys()
            status = {field: value for field, value in status.items() if field not in broken}


def _path(location: tuple[str | int, ...]) -> str:
    return ".".join(map(str, location))


def _batch_job(raw: Raw) -> BatchJob:
    status = raw.get("status") or {}
    true = {c["type"]: c for c in status.get("conditions") or () if c["status"] == "True"}
    failure = true.get("Failed") or true.get("FailureTarget") or {}
    over = true.get("Complete") or true.get("Failed") or {}
    return BatchJob(
        meta(raw),
        succeeded=status.get("succeeded", 0),
        failed=status.get("failed", 0),
        suspended=bool(raw["spec"].get("suspend")),
        complete="Complete" in true,
        failure_reason=failure.get("reason", ""),
        failure_message=failure.get("message", ""),
        terminated=bool(over),
        started=_moment(status.get("startTime")),
        finished=_moment(over.get("lastTransitionTime")),
    )


def _pod(raw: Raw) -> Pod:
    status = raw.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    scheduled = conditions.get("PodScheduled") or {}
    disruption = conditions.get("DisruptionTarget") or {}
    container = _container(status)
    state = container.get("state") or {}
    waiting = state.get("waiting") or {}
    if waiting.get("reason") in (None, "PodInitializing"):
        waiting = _init_waiting(status) or waiting
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated") or {}
    running = state.get("running") or ended
    return Pod(
        meta(raw),
        phase=status.get("phase", "Pending"),
        node=raw["spec"].get("nodeName", ""),
        ready=(conditions.get("Ready") or {}).get("status") == "True",
        scheduled=scheduled.get("status") == "True" or bool(raw["spec"].get("nodeName")),
        scheduling_message=scheduled.get("message", "") if scheduled.get("status") == "False" else "",
        scheduled_at=_moment(scheduled.get("lastTransitionTime")) if scheduled.get("status") == "True" else None,
        gone_by=_moment(raw["metadata"].get("deletionTimestamp")),
        disruption=disruption.get("reason", "") if disruption.get("status") == "True" else "",
        waiting_reason=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        started=_moment(running.get("startedAt")),
        exit_code=ended.get("exitCode"),
        finished=_moment(ended.get("finishedAt")),
        exit_reason=ended.get("reason", ""),
        exit_message=ended.get("message", ""),
        failure=status.get("reason", ""),
        failure_message=status.get("message", ""),
    )


def _container(status: Raw) -> Raw:
    """State of our container, or of the first container if there is none with that name."""
    containers: list[Raw] = status.get("containerStatuses") or []
    ours = [c for c in containers if c["name"] in (STAGE_CONTAINER, SERVER_CONTAINER)]
    return (ours or containers or [{}])[0]


def _init_waiting(status: Raw) -> Raw:
    states = [(c.get("state") or {}).get("waiting") for c in status.get("initContainerStatuses") or ()]
    return next((waiting for waiting in states if waiting and waiting.get("reason") != "PodInitializing"), {})


def _claim(raw: Raw) -> Claim:
    return Claim(
        meta(raw), phase=(raw.get("status") or {}).get("phase", "Pending"), access_modes=tuple(raw["spec"].get("accessModes") or ())
    )


def _workload(raw: Raw) -> Workload:
    status = raw.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    progressing = conditions.get("Progressing") or {}
    failure = conditions.get("ReplicaFailure") or {}
    return Workload(
        meta(raw),
        observed_generation=status.get("observedGeneration", 0),
        replicas=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        ready=status.get("readyReplicas", 0),
        available=status.get("availableReplicas", 0),
        spec_replicas=raw["spec"].get("replicas", 1),
        deadline=raw["spec"].get("progressDeadlineSeconds", 600),
        progressing_reason=progressing.get("reason", ""),
        failure_message=failure.get("message", "") if failure.get("status") == "True" else "",
    )


def warning_event(raw: Raw, message_length: int = 1024) -> WarningEvent:
    """A v1 Event."""
    about = raw["involvedObject"]
    seen = raw.get("lastTimestamp") or (raw.get("series") or {}).get("lastObservedTime") or raw.get("eventTime")
    message = (raw.get("message") or "").strip()[:message_length]
    return WarningEvent(
        about.get("kind") or "", about.get("name") or "", raw.get("reason") or "", message,
        timestamp(seen or raw["metadata"].get("creationTimestamp")),
    )  # fmt: skip


DRIVER_LABELS = ("cuda.driver-version.major", "cuda.driver.major")
"""Of GPU Feature Discovery, the newer one first: 580."""


def gpu_node(raw: Raw, resource: str) -> GpuType | None:
    """The GPUs of a Node, from the labels of NVIDIA's GPU Feature Discovery: <resource>.memory in MiB, <resource>.product. None when no
    such GPUs are allocatable, or without these labels."""
    labels, allocatable = raw["metadata"].get("labels") or {}, (raw.get("status") or {}).get("allocatable") or {}
    memory = labels.get(f"{resource}.memory", "")
    if not memory.isdecimal() or int(memory) == 0 or str(allocatable.get(resource, "0")) == "0":
        return None
    vendor = resource.partition("/")[0]
    driver = next((labels[name] for part in DRIVER_LABELS if (name := f"{vendor}/{part}") in labels), "")
    return GpuType(int(memory) << 20, labels.get(f"{resource}.product", ""), int(driver) if driver.isdecimal() else None)


def _presence(kind: str, raw: Raw) -> Presence:
    return Presence(meta(raw), kind)


_PARSERS: Mapping[str, Callable[[Raw], Record]] = {
    FINETUNE_JOBS.kind: _finetune_job,
    FINETUNED_MODELS.kind: _finetuned_model,
    MODEL_DEPLOYMENTS.kind: _model_deployment,
    JOBS.kind: _batch_job,
    PODS.kind: _pod,
    CLAIMS.kind: _claim,
    DEPLOYMENTS.kind: _workload,
    SERVICES.kind: partial(_presence, SERVICES.kind),
    CONFIG_MAPS.kind: partial(_presence, CONFIG_MAPS.kind),
}
