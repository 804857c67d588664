"""The Deployment and the Service of a ModelDeployment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from finetune_api.resources.finetuned_model import ClaimSource
from finetune_api.resources.model_deployment import ModelDeploymentSpec, Revision
from finetune_operator.build.inspect_job import model_folder
from finetune_operator.build.owner import child_metadata
from finetune_operator.build.pod import Mount, PodShape, pod_template
from finetune_operator.configuration import Settings
from finetune_operator.names import DEPLOYMENT_LABEL, MANAGED_BY, MODEL_LABEL, MODEL_UID_LABEL, REVISION_ANNOTATION
from finetune_operator.records import Meta

CONTAINER = "server"
PORT = 8080
START_SECONDS = 1800
"""Checksums of a large model take their time."""
API_KEY = "FINETUNE_API_KEY"


@dataclass(frozen=True, slots=True)
class Rollout:
    """Everything that a server's manifests depend on."""

    meta: Meta
    spec: ModelDeploymentSpec
    revision: Revision
    revision_digest: str
    claim: ClaimSource
    shared: bool
    """Several nodes may mount the claim at once."""

    @property
    def selector(self) -> dict[str, str]:
        """Which pods are its own; immutable in a Deployment, so the model is no part of it."""
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
            "progressDeadlineSeconds": START_SECONDS + 60,
            "selector": {"matchLabels": rollout.selector},
            "strategy": _strategy(rollout.shared),
            "template": pod_template(_shape(rollout), settings),
        },
    }


def scaled_object(workload: Meta, replicas: int) -> dict[str, Any]:
    """A merge patch of the Deployment's replicas: its pods stay as an earlier version of the operator has made them."""
    metadata = {"name": workload.name, "namespace": workload.namespace, "uid": workload.uid}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"replicas": replicas}}


def service_object(rollout: Rollout) -> dict[str, Any]:
    """Port 80, so that the address is http://<name>.<namespace>.svc."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": child_metadata("ModelDeployment", rollout.meta, rollout.meta.name, rollout.selector),
        "spec": {
            "selector": rollout.selector,
            "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP", "appProtocol": "http"}],
        },
    }


def _strategy(shared: bool) -> dict[str, Any]:
    """A volume for one node cannot be mounted by the next pod before the last has gone.

    The null takes away what the API server filled in for an earlier RollingUpdate.
    """
    if not shared:
        return {"type": "Recreate", "rollingUpdate": None}
    return {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def _shape(rollout: Rollout) -> PodShape:
    labels = {
        **MANAGED_BY,
        **rollout.selector,
        MODEL_LABEL: rollout.revision.model,
        MODEL_UID_LABEL: rollout.revision.model_uid,
    }
    return PodShape(
        container=CONTAINER,
        image=rollout.revision.image,
        args=_args(rollout),
        pod=rollout.spec.pod,
        resources=rollout.spec.resources,
        labels=labels,
        mounts=(Mount("model", "/model", claim=rollout.claim.name),),
        env=_env(rollout.spec),
        grace_seconds=40,
        more_container={
            "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
            "startupProbe": {**_probe("/healthz", 5), "failureThreshold": START_SECONDS // 5},
            "readinessProbe": {**_probe("/readyz", 5), "failureThreshold": 3},
            "livenessProbe": {**_probe("/healthz", 10), "failureThreshold": 6},
            # Endpoints lose the pod while it still answers.
            "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        },
    )


def _probe(path: str, period: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": "http"}, "periodSeconds": period, "timeoutSeconds": 5}


def _args(rollout: Rollout) -> tuple[str, ...]:
    spec = rollout.spec
    args: Sequence[str] = (
        "--model-dir", model_folder(rollout.claim),
        "--served-name", rollout.meta.name,
        "--precision", spec.precision,
        "--host", "0.0.0.0",
        "--port", str(PORT),
        "--max-concurrency", str(spec.max_concurrency),
    )  # fmt: skip
    return (*args, *(("--max-context", str(spec.max_context)) if spec.max_context else ()))


def _env(spec: ModelDeploymentSpec) -> tuple[dict[str, Any], ...]:
    if spec.auth is None:
        return ()
    return ({"name": API_KEY, "valueFrom": {"secretKeyRef": {"name": spec.auth.secret_ref.name, "key": "api-key"}}},)
