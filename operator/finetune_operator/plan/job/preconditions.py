"""What must hold before a job starts: it sets no forbidden field, brings no code that is not allowed, and its base model exists and has
been verified."""

from finetune_operator.build.stages import STAGES
from finetune_operator.plan.common.clock import epoch
from finetune_operator.plan.common.conditions import holds
from finetune_operator.plan.common.models import ready_message
from finetune_operator.plan.common.overrides import OVERRIDE_FORBIDDEN, forbidden_field, forbidden_text
from finetune_operator.plan.job.stop import given_up, schedule_timeout_over, waiting_since
from finetune_operator.plan.job.view import Step, View, failure, waiting

CUSTOM_CODE_FORBIDDEN = "CustomCodeForbidden"


def override_forbidden(view: View) -> Step | None:
    """Before the first attempt: a `pod` field that the administrator has forbidden. Later changes of the settings do not affect a job."""
    pods = {f"{stage.field}.pod": stage.pod(view.spec) for stage in STAGES.values()}
    field = forbidden_field(pods, view.observed.settings)
    if view.status.attempts or field is None:
        return None
    name = view.meta.name
    message = f"FineTuneJob {name} sets {forbidden_text(field)}, and create the job again"
    return failure(view, OVERRIDE_FORBIDDEN, message, param=field, object=f"FineTuneJob {name}")


def custom_code_forbidden(view: View) -> Step | None:
    """Before the first attempt, like the forbidden fields: code of the user, which the administrator has to allow."""
    sft, settings = view.spec.method.sft, view.observed.settings
    if view.status.attempts or sft is None or sft.custom_loss is None or settings.allow_custom_code:
        return None
    field, name = "method.sft.customLoss", view.meta.name
    message = (
        f"FineTuneJob {name} sets {field}, which runs code of its author, and the administrator has not allowed that (chart value "
        "training.allowCustomCode is false): remove it, or change the value, and create the job again"
    )
    return failure(view, CUSTOM_CODE_FORBIDDEN, message, param=field, object=f"FineTuneJob {name}")


def base_missing(view: View) -> Step | None:
    """Before a Job is created: waits for the base model, for at most limits.scheduleTimeout. Each attempt has this time again."""
    reference, attempt = view.spec.base.fine_tuned_model, view.attempt
    begun = view.batch is not None or (attempt is not None and attempt.job_uid is not None)
    if reference is None or view.stage is None or begun:
        return None
    found = _base_obstacle(view, reference.name)
    if found is None:
        return None
    reason, message = found
    since = epoch(attempt.started_at) if attempt else waiting_since(view.status)
    if schedule_timeout_over(view, since):
        return given_up(view, reason, message, param="base.fineTunedModel", object=f"FineTunedModel {reference.name}")
    return waiting(view, reason, message, object=f"FineTunedModel {reference.name}")


def _base_obstacle(view: View, name: str) -> tuple[str, str] | None:
    model = view.observed.base_model
    if model is None:
        return "BaseModelNotFound", f"base.fineTunedModel: FineTunedModel {name} does not exist in this namespace"
    if model.meta.deleting:
        return "BaseModelNotFound", f"base.fineTunedModel: FineTunedModel {name} is being deleted"
    if model.spec is None or not holds(model.status.conditions, "Ready"):
        return "BaseModelNotReady", f"base.fineTunedModel: FineTunedModel {name} is not ready: {ready_message(model)}"
    return None
