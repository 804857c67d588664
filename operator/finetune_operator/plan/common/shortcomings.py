"""What a model that was made has against it: an artifact that is missing, scores that are not better than its base's,
requests that are tokenised in another way than training did.

None of it is a failure: the conditions and Events say it, and a gate decides what follows.
"""

from collections.abc import Sequence

from finetune_api.comparison import Figures, compared
from finetune_api.model_directory import MissingArtifact, SkewCheck
from finetune_api.resources.common import Condition
from finetune_api.resources.finetuned_model import MissingArtifactStatus
from finetune_operator.objects.records import FineTunedModel
from finetune_operator.plan.common.conditions import FALSE, ConditionUpdate, find, short
from finetune_operator.plan.common.plan import EventNote

LOSS_INCREASED = "LossIncreased"
WORRYING = (("Exported", "False"), ("BetterThanBase", "False"), ("ServedAsTrained", "False"))
"""Conditions, and the status of each that is worth a Warning."""


def exported_condition(missing: Sequence[MissingArtifact | MissingArtifactStatus]) -> ConditionUpdate:
    """Whether all that export asked for was written."""
    if not missing:
        return ConditionUpdate("Exported", True, "Exported", "every requested artifact was written")
    text = "; ".join(f"no {found.format} artifact of precision {found.precision}: {found.message}" for found in missing)
    return ConditionUpdate("Exported", False, short(missing[0].reason, 128), text)


def better_condition(base: Figures | None, tuned: Figures | None) -> ConditionUpdate:
    """Whether the model is better than its base, with the figures."""
    if base is None or tuned is None:
        return ConditionUpdate("BetterThanBase", None, "NotEvaluated", "MANIFEST.json has no scores for the model and its base")
    found = compared(base, tuned)
    reason = {"better": "Better", "equal": "NotBetter", "worse": "WorseThanBase"}[found.verdict]
    return ConditionUpdate("BetterThanBase", found.verdict == "better", reason, found.text)


def skew_condition(check: SkewCheck | None) -> ConditionUpdate:
    """Whether the server makes the tokens that were trained of held-out requests."""
    if check is None or not (check.prompts or check.difference):
        return ConditionUpdate("ServedAsTrained", None, "NotChecked", "publish had no validation requests to check")
    counted = f"{check.equal} of {check.prompts} validation requests have the same tokens as in training"
    if check.difference is None:
        return ConditionUpdate("ServedAsTrained", True, "TokensEqual", counted)
    return ConditionUpdate("ServedAsTrained", False, "TokensDiffer", short(f"{counted}; {check.difference}"))


def no_gain(model: FineTunedModel | None) -> str:
    """What a deployment of the model has to say; empty for one that is better than its base."""
    found = find(model.status.conditions, "BetterThanBase") if model else None
    if model is None or found is None or found.status != FALSE:
        return ""
    return f"FineTunedModel {model.meta.name} is not better than its base: {found.message}"


def shortcoming_events(old: Sequence[Condition], new: Sequence[Condition]) -> tuple[EventNote, ...]:
    """A Warning for each shortcoming that has just become known."""
    notes = []
    for condition in new:
        before = find(old, condition.type)
        bad = (condition.type, condition.status) in WORRYING or condition.reason == LOSS_INCREASED
        if bad and (before is None or (before.status, before.reason) != (condition.status, condition.reason)):
            notes.append(EventNote("Warning", condition.reason, short(condition.message)))
    return tuple(notes)
