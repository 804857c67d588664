"""What plans and builders read of the administrator's configuration. `settings.py` takes it from the environment."""

from dataclasses import dataclass


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
    guard_installed: bool = True
