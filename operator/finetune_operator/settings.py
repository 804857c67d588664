"""What the administrator configured: the chart's values, as environment.py reads them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

OVERRIDES = ("image", "env", "envFrom", "serviceAccountName")
"""Fields of `pod` that the administrator may forbid."""


@dataclass(frozen=True, slots=True)
class Settings:
    """For the pods that the operator creates, and for its own process."""

    trainer_image: str
    server_images: Mapping[str, str]
    """By engine."""
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    workspace_size: str = "20Gi"
    """Size of a new workspace when the spec does not set one."""
    allowed_private: tuple[str, ...] = ()
    """Networks and host names that http(s):// sources may use although their addresses are not public."""
    instance_credentials: bool = False
    """For sources without credentials, stages may use those of the node's instance role."""
    prices: Mapping[str, float] = field(default_factory=dict)
    """Price of a GPU hour by product (node label nvidia.com/gpu.product), and "default"; 0 means unknown."""
    currency: str = ""
    overrides: frozenset[str] = frozenset(OVERRIDES)
    """The fields that jobs and deployments may set."""
    allow_custom_code: bool = False
    """Jobs may run code of their own: method.sft.customLoss."""
    guard_installed: bool = True
    """Whether the admission policies of the delete guard were found in the cluster."""
    kueue_installed: bool = True
    """Whether the API server has Kueue's kinds, without which spec.queueName has no effect."""
    namespaces: tuple[str, ...] = ()
    """Namespaces to watch; empty: all."""
    lease_name: str = "finetune-operator"
    lease_namespace: str = "default"
    pod: str = "finetune-operator"
    """Name of this pod; of the process where it does not run in a pod."""
    identity: str = "finetune-operator"
    """Holder of the Lease: the pod's name and a suffix that no earlier process in that pod had."""
    log_level: str = "INFO"
    http_port: int = 8080
    """Serves /metrics, /healthz and /readyz."""
    workers: int = 8
    """Number of objects that are reconciled concurrently."""

    @property
    def scopes(self) -> tuple[str | None, ...]:
        """What to list and watch: each namespace, or None for the whole cluster."""
        return self.namespaces or (None,)
