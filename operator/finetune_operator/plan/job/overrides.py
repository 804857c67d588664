"""What the administrator leaves to whoever writes a job or a deployment: the fields of `pod` that decide what runs and as whom."""

from collections.abc import Mapping

from finetune_api.resources.common import Pod
from finetune_operator.plan.job.view import Step, View, failure
from finetune_operator.settings import OVERRIDES, Settings

REASON = "OverrideForbidden"


def override_forbidden(view: View) -> Step | None:
    """Before the first attempt: a stage's pod that sets what it may not. A job that has begun goes on as it began."""
    spec = view.spec
    pods = {"preparation.pod": spec.preparation.pod, "training.pod": spec.training.pod, "publishing.pod": spec.publishing.pod}
    field = forbidden_field(pods, view.observed.settings)
    if view.status.attempts or field is None:
        return None
    name = view.observed.job.meta.name
    message = f"FineTuneJob {name} sets {told(field)}, and create the job again"
    return failure(view, REASON, message, param=field, object=f"FineTuneJob {name}")


def forbidden_field(pods: Mapping[str, Pod], settings: Settings) -> str | None:
    """The first field, as a path, that is set and may not be."""
    return next(
        (
            f"{path}.{field}"
            for path, pod in pods.items()
            for field in OVERRIDES
            if field not in settings.overrides and pod.to_dict().get(field)
        ),
        None,
    )


def told(field: str) -> str:
    """For people, up to what to do; the caller says what comes after that."""
    value = field.rpartition(".")[2]
    return f"{field}, which the administrator has forbidden (chart value overrides.{value} is false): remove it, or change the value"
