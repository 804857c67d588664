"""The `pod` fields of a job or a deployment that the administrator may forbid: what runs, and as which user."""

from collections.abc import Mapping

from finetune_api.resources.common import PodSettings
from finetune_operator.settings import OVERRIDES, Settings

OVERRIDE_FORBIDDEN = "OverrideForbidden"


def forbidden_field(pods: Mapping[str, PodSettings], settings: Settings) -> str | None:
    """Path of the first field that is set although it is forbidden."""
    return next(
        (
            f"{path}.{field}"
            for path, pod in pods.items()
            for field in OVERRIDES
            if field not in settings.overrides and pod.to_dict().get(field)
        ),
        None,
    )


def forbidden_text(field: str) -> str:
    """The reason and the remedy; the caller may append a further step."""
    value = field.rpartition(".")[2]
    return f"{field}, which the administrator has forbidden (chart value overrides.{value} is false): remove it, or change the value"
