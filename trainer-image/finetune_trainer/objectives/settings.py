"""Settings of the objectives that do not fit each other. The schema of a FineTuneJob refuses them; a run config comes without it."""

from finetune_api.resources.method import Dpo, Sft
from finetune_api.run_config import RunCustomLoss, RunMethod, RunSft
from finetune_trainer.failure import StageFailure, invalid

OWNED = ("sft", "dpo", "orpo", "kto")
"""Fields of a method that only the objective of their name reads."""

CUSTOM_LOSS = "customLoss"


def check_settings(method: RunMethod) -> None:
    """Raises StageFailure for settings that would be ignored or would work against each other."""
    for field in OWNED:
        if getattr(method, field) is not None and method.objective != field:
            raise refused(field, f"is for objective {field}, and the objective is {method.objective}: remove it")
    sft, dpo = method.sft or Sft(), method.dpo or Dpo()
    if sft.balanced_classes and sft.class_weights:
        raise refused("sft.balancedClasses", "cannot be set together with classWeights, as both weigh the labels: remove one of them")
    others = [name for name in sft.model_dump(by_alias=True, exclude_defaults=True) if name != CUSTOM_LOSS]
    if sft.custom_loss and others:
        raise refused(f"sft.{others[0]}", "describes a loss that sft.customLoss takes the place of: remove one of them")
    if sft.focal_gamma and sft.label_smoothing:
        raise refused("sft.focalGamma", "cannot be set together with labelSmoothing: one trusts the labels less, the other one more")
    if dpo.label_smoothing and dpo.loss != "sigmoid":
        raise refused("dpo.labelSmoothing", f"is for loss sigmoid, and the loss is {dpo.loss}: remove it")


def custom_loss_of(method: RunMethod) -> RunCustomLoss | None:
    """The user's own loss, where there is one."""
    return (method.sft or RunSft()).custom_loss


def refused(field: str, what: str) -> StageFailure:
    """InvalidSpec."""
    return invalid("InvalidSpec", f"method.{field} {what}", param=f"method.{field}")
