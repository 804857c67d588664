"""The Deployment and the Service of a ModelDeployment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from finetune_api.engines import ENGINES
from finetune_api.resources.common import seconds
from finetune_api.resources.finetuned_model import ClaimSource
from finetune_api.resources.model_deployment import ModelDeploymentSpec, Revision
from finetune_operator.build.inspect_job import model_folder
from finetune_operator.build.owner import child_metadata
from finetune_operator.build.pod import Mount, PodShape, pod_template
from finetune_operator.objects.names import (
    CHECKPOINT_LABEL,
    CLAIM_UID_LABEL,
    DEPLOYMENT_LABEL,
    MANAGED_BY,
    MODEL_LABEL,
    MODEL_UID_LABEL,
    REVISION_ANNOTATION,
    SERVER_CONTAINER,
)
from finetune_operator.objects.records import Meta
from finetune_operator.settings import Settings

PORT = 8080
START_SECONDS = 300
"""Seconds until the server listens; it loads the model after that."""
SETTLED_SECONDS = 3
"""Seconds for which a server must be ready to count as available."""
LAST_SECONDS = 20
"""Part of the grace period: before the server waits for running requests, and until the process exits."""
LONGEST = 2**31 - 2
"""Maximum deadline of a Deployment in seconds."""
GPU_RESOURCE = "nvidia.com/gpu"
API_KEY = "FINETUNE_API_KEY"
API_KEY_SECRET = "FINETUNE_API_KEY_SECRET"
"""Name of the Secret, for the error message when its key is empty."""

Reach = Literal["many-nodes", "one-node", "one-pod"]
"""Where pods that mount a claim may run, relative to each other: ReadWriteMany, ReadWriteOnce, ReadWriteOncePod."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """Everything that a server's manifests depend on."""

    meta: Meta
    spec: ModelDeploymentSpec
    revision: Revision
    revision_digest: str
    source: ClaimSource
    claim_uid: str
    reach: Reach
    gap: bool = False
    """The next pod can mount the volume only after the last one has terminated."""
    checkpoint: int | None = None
    """The step of the model's checkpoint that `source` has."""

    @property
    def selector(self) -> dict[str, str]:
        """Selects the pods. Immutable in a Deployment, so the model is not part of it."""
        return {DEPLOYMENT_LABEL: self.meta.name}


def deployment_object(rollout: Rollout, settings: Settings) -> dict[str, Any]:
    """An apps/v1 Deployment for server-side apply. The operator alone writes its replicas."""
    annotations = {REVISION_ANNOTATION: rollout.revision_digest}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": child_metadata("ModelDeployment", rollout.meta, rollout.meta.name, rollout.selector, annotations),
        "spec": {
            "replicas": rollout.spec.replicas,
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": progress_deadline(rollout.spec),
            "minReadySeconds": SETTLED_SECONDS,
            "selector": {"matchLabels": rollout.selector},
            "strategy": _strategy(rollout),
            "template": pod_template(_shape(rollout), settings),
        },
    }


def progress_deadline(spec: ModelDeploymentSpec) -> int:
    """spec.progressDeadline in seconds, limited to the maximum of a Deployment."""
    return min(seconds(spec.progress_deadline), LONGEST)


def scaled_object(workload: Meta, spec: ModelDeploymentSpec) -> dict[str, Any]:
    """A merge patch of fields that the pods do not depend on: pods of an earlier version of the operator are not replaced."""
    metadata = {"name": workload.name, "namespace": workload.namespace, "uid": workload.uid}
    change = {"replicas": spec.replicas, "progressDeadlineSeconds": progress_deadline(spec)}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": change}


def service_object(rollout: Rollout) -> dict[str, Any]:
    """On port 80, so that the URL is http://<name>.<namespace>.svc."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": child_metadata("ModelDeployment", rollout.meta, rollout.meta.name, rollout.selector),
        "spec": {
            "selector": rollout.selector,
            "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP", "appProtocol": "http"}],
        },
    }


def _strategy(rollout: Rollout) -> dict[str, Any]:
    """The next pod is ready before the last one terminates, except when they cannot mount the claim at the same time.

    The null removes the defaults that the API server filled in for an earlier RollingUpdate.
    """
    if rollout.gap:
        return {"type": "Recreate", "rollingUpdate": None}
    return {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def _shape(rollout: Rollout) -> PodShape:
    labels = {
        **MANAGED_BY,
        **rollout.selector,
        MODEL_LABEL: rollout.revision.model,
        MODEL_UID_LABEL: rollout.revision.model_uid,
        CLAIM_UID_LABEL: rollout.claim_uid,
        **({CHECKPOINT_LABEL: str(rollout.checkpoint)} if rollout.checkpoint is not None else {}),
    }
    return PodShape(
        container=SERVER_CONTAINER,
        image=rollout.revision.image,
        args=_args(rollout),
        pod=rollout.spec.pod,
        resources=rollout.spec.resources,
        labels=labels,
        gpus={GPU_RESOURCE: ENGINES[rollout.spec.engine].gpus},
        mounts=(Mount("model", "/model", claim=rollout.source.name),),
        env=_env(rollout.spec),
        grace_seconds=seconds(rollout.spec.drain_timeout) + LAST_SECONDS,
        more_container={
            "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
            "startupProbe": {**_probe("/healthz", 2), "failureThreshold": START_SECONDS // 2},
            "readinessProbe": {**_probe("/readyz", 2), "failureThreshold": 5},
            "livenessProbe": {**_probe("/healthz", 10), "failureThreshold": 6},
        },
        more_spec=_affinity(rollout),
    )


def _affinity(rollout: Rollout) -> dict[str, Any]:
    """A ReadWriteOnce volume is mounted on one node: pods are scheduled to the node of other pods with the claim, if there are any."""
    if rollout.reach == "many-nodes":
        return {}
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {CLAIM_UID_LABEL: rollout.claim_uid}}}
    return {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


def _probe(path: str, period: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": "http"}, "periodSeconds": period, "timeoutSeconds": 5}


def _args(rollout: Rollout) -> tuple[str, ...]:
    spec = rollout.spec
    args: Sequence[str] = (
        "--model-dir", model_folder(rollout.source),
        "--served-name", rollout.meta.name,
        "--engine", spec.engine,
        "--precision", spec.precision,
        "--host", "0.0.0.0",
        "--port", str(PORT),
        "--max-concurrency", str(spec.max_concurrency),
        "--grace", str(seconds(spec.drain_timeout)),
    )  # fmt: skip
    return (*args, *(("--max-context", str(spec.max_context)) if spec.max_context else ()))


def _env(spec: ModelDeploymentSpec) -> tuple[dict[str, Any], ...]:
    if spec.auth is None:
        return ()
    secret = spec.auth.secret_ref.name
    return (
        {"name": API_KEY, "valueFrom": {"secretKeyRef": {"name": secret, "key": "api-key"}}},
        {"name": API_KEY_SECRET, "value": secret},
    )
