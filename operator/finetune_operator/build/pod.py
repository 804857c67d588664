"""The pod template that stages, inspections and servers share: restricted security context, scratch folders, mounts.

It does not know what runs in the pod.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from finetune_api.resources.common import PodSettings, Resources
from finetune_operator.settings import Settings

USER = 65532
HOME = "/home/finetune"
DEFAULT_REQUESTS = {"cpu": "100m", "memory": "256Mi"}
"""Every container has requests, because quotas and Kueue count them."""
SCRATCH_ENV = {
    "HOME": HOME,
    "TMPDIR": "/tmp",
    "XDG_CACHE_HOME": f"{HOME}/.cache",
    "HF_HOME": f"{HOME}/.cache/huggingface",
    "TORCH_HOME": f"{HOME}/.cache/torch",
    "TORCHINDUCTOR_CACHE_DIR": f"{HOME}/.cache/torchinductor",
    "TRITON_CACHE_DIR": f"{HOME}/.cache/triton",
    "MPLCONFIGDIR": f"{HOME}/.cache/matplotlib",
    "PYTHONUNBUFFERED": "1",
}
"""Libraries write to these folders; the root file system is read-only."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A claim or a ConfigMap at a path. Mounts of one claim share one volume: the kubelet cannot mount a claim twice in a pod."""

    name: str
    path: str
    claim: str = ""
    config_map: str = ""
    key: str = ""
    """Only this key of the ConfigMap; all keys when empty."""
    read_only: bool = True


@dataclass(frozen=True, slots=True)
class PodShape:
    """What differs between our pods."""

    container: str
    image: str
    args: tuple[str, ...]
    pod: PodSettings
    resources: Resources
    labels: Mapping[str, str]
    mounts: tuple[Mount, ...] = ()
    gpus: Mapping[str, int] = field(default_factory=dict)
    env: tuple[dict[str, Any], ...] = ()
    env_from: tuple[dict[str, Any], ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    grace_seconds: int = 30
    more_container: Mapping[str, Any] = field(default_factory=dict)
    """Ports, probes, lifecycle."""
    more_spec: Mapping[str, Any] = field(default_factory=dict)
    """restartPolicy, subdomain."""


def pod_template(shape: PodShape, settings: Settings) -> dict[str, Any]:
    """A PodTemplateSpec that passes the restricted pod security standard. Fields of the user never override ours."""
    metadata: dict[str, Any] = {"labels": {**shape.pod.labels, **shape.labels}}
    annotations = {**shape.pod.annotations, **shape.annotations}
    if annotations:
        metadata["annotations"] = annotations
    return {"metadata": metadata, "spec": _spec(shape, settings)}


def _spec(shape: PodShape, settings: Settings) -> dict[str, Any]:
    volumes, mounts = _volumes(shape.mounts)
    return {
        **_placement(shape.pod),
        **shape.more_spec,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": shape.grace_seconds,
        "securityContext": _pod_security(shape.pod),
        **_pull_secrets(shape.pod, settings),
        "volumes": volumes,
        "containers": [_container(shape, settings, mounts)],
    }


def _placement(pod: PodSettings) -> dict[str, Any]:
    chosen: dict[str, Any] = {
        "serviceAccountName": pod.service_account_name,
        "nodeSelector": dict(pod.node_selector),
        "tolerations": [toleration.to_dict() for toleration in pod.tolerations],
        "priorityClassName": pod.priority_class_name,
        "runtimeClassName": pod.runtime_class_name,
        "schedulerName": pod.scheduler_name,
    }
    return {key: value for key, value in chosen.items() if value}


def _pod_security(pod: PodSettings) -> dict[str, Any]:
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": pod.fs_group or USER,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _pull_secrets(pod: PodSettings, settings: Settings) -> dict[str, Any]:
    names = dict.fromkeys([*(ref.name for ref in pod.image_pull_secrets), *settings.image_pull_secrets])
    return {"imagePullSecrets": [{"name": name} for name in names]} if names else {}


def _container(shape: PodShape, settings: Settings, mounts: list[dict[str, Any]]) -> dict[str, Any]:
    env_from = [*shape.env_from, *(ref.to_dict() for ref in shape.pod.env_from)]
    return {
        "name": shape.container,
        "image": shape.image,
        "imagePullPolicy": settings.image_pull_policy,
        "args": list(shape.args),
        "env": _env(shape),
        **({"envFrom": env_from} if env_from else {}),
        "resources": container_resources(shape.resources, shape.gpus),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
        **shape.more_container,
    }


def _env(shape: PodShape) -> list[dict[str, Any]]:
    """The user may override the scratch folders, but not the variables of the stage."""
    merged: dict[str, dict[str, Any]] = {name: {"name": name, "value": value} for name, value in SCRATCH_ENV.items()}
    merged |= {variable.name: {"name": variable.name, "value": variable.value} for variable in shape.pod.env}
    merged |= {variable["name"]: variable for variable in shape.env}
    return list(merged.values())


def container_resources(resources: Resources, gpus: Mapping[str, int]) -> dict[str, Any]:
    """Requests and limits. As in Kubernetes, a limit without a request is also the request."""
    limits: dict[str, Any] = {**resources.limits, **{name: str(count) for name, count in gpus.items() if count}}
    defaults = {name: value for name, value in DEFAULT_REQUESTS.items() if name not in limits}
    requests: dict[str, Any] = {**defaults, **resources.requests}
    return {key: value for key, value in (("requests", requests), ("limits", limits)) if value}


def _volumes(mounts: tuple[Mount, ...]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    volumes: list[dict[str, Any]] = [
        {"name": "tmp", "emptyDir": {}},
        {"name": "home", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory"}},
    ]
    mounted: list[dict[str, Any]] = [
        {"name": "tmp", "mountPath": "/tmp"},
        {"name": "home", "mountPath": HOME},
        {"name": "shm", "mountPath": "/dev/shm"},
    ]
    claims: dict[str, str] = {}
    for mount in mounts:
        name = claims.get(mount.claim, mount.name) if mount.claim else mount.name
        if name == mount.name:
            volumes.append({"name": name, **_volume_source(mount)})
        if mount.claim:
            claims[mount.claim] = name
        mounted.append({"name": name, "mountPath": mount.path, **({"readOnly": True} if mount.read_only else {})})
    return volumes, mounted


def _volume_source(mount: Mount) -> dict[str, Any]:
    if mount.claim:
        return {"persistentVolumeClaim": {"claimName": mount.claim}}
    config_map: dict[str, Any] = {"name": mount.config_map}
    if mount.key:
        config_map["items"] = [{"key": mount.key, "path": mount.key}]
    return {"configMap": config_map}
