"""What plans and builders read of the administrator's configuration. `settings.py` takes it from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field

OVERRIDES = ("image", "env", "envFrom", "serviceAccountName")
"""Fields of `pod` that the administrator may forbid."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the administrator configured: the chart's values as the operator's environment shows them."""

    trainer_image: str
    onnx_server_image: str
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    workspace_size: str = "20Gi"
    """Size of a new workspace when the spec gives none."""
    allowed_private: tuple[str, ...] = ()
    """Networks and host names that http(s):// sources may name although their addresses are not public."""
    instance_credentials: bool = False
    """Stages may use what the node's own role gives, where a source has no credentials."""
    prices: Mapping[str, float] = field(default_factory=dict)
    """Of a GPU hour, by product as the node label nvidia.com/gpu.product has it, and "default"; 0 is unknown."""
    currency: str = ""
    overrides: frozenset[str] = frozenset(OVERRIDES)
    """Those that jobs and deployments may set."""
    guard_installed: bool = True
