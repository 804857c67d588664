"""plan_model: verifies the directory of a FineTunedModel once, and shows its contents and its users."""

from finetune_api.resources.finetuned_model import FineTunedModelSpec, FineTunedModelStatus
from finetune_operator.plan.common.conditions import ConditionUpdate, holds, short, stalled, with_updates
from finetune_operator.plan.common.models import better_condition, exported_condition, shortcoming_events
from finetune_operator.plan.common.observed import ObservedModel
from finetune_operator.plan.common.plan import EventNote, Plan
from finetune_operator.plan.model.inspection import Inspection, inspect

LISTED = 64
NAMED = 3


def plan_model(observed: ObservedModel, now: float) -> Plan:
    """Decides from one snapshot. A verified model is not verified again: its spec is immutable."""
    model = observed.model
    if model.meta.deleting:
        return Plan()
    inspection = _inspection(observed, now)
    users = _used_by(observed)
    updates = (*_ready_conditions(inspection), *_quality(inspection.status), _in_use(users), _guarded(observed.settings.guard_installed))
    status = inspection.status.model_copy(
        update={
            "observed_generation": model.meta.generation,
            "conditions": with_updates(model.status.conditions, updates, model.meta.generation, now),
            "base_text": _base_text(model.spec) or model.status.base_text,
            "used_by": users,
            "used_by_text": used_by_text(users),
        }
    )
    return Plan(
        status=status if status != model.status else None,
        create=inspection.create,
        delete=inspection.delete,
        events=_events(model.status, status, inspection),
        requeue_after=inspection.requeue_after,
    )


def _inspection(observed: ObservedModel, now: float) -> Inspection:
    if observed.model.spec is None:
        return Inspection(observed.model.status, "InvalidSpec", observed.model.spec_error, stalled=True)
    return inspect(observed, observed.model.spec, now)


def _ready_conditions(inspection: Inspection) -> tuple[ConditionUpdate, ...]:
    reason, message = inspection.reason, inspection.message
    if inspection.stalled:
        return stalled(reason, message)
    return (
        ConditionUpdate("Ready", inspection.ready, reason, message),
        ConditionUpdate("Reconciling", not inspection.ready, reason, "" if inspection.ready else message),
        ConditionUpdate("Stalled", False, reason),
    )


def _quality(status: FineTunedModelStatus) -> tuple[ConditionUpdate, ...]:
    """Known after the inspection."""
    if status.size_bytes is None:
        return ()
    scores = status.evaluation
    return (
        exported_condition(status.missing_artifacts),
        better_condition(scores.base, scores.tuned, scores.intervals) if scores else better_condition(None, None),
    )


def _in_use(users: list[str]) -> ConditionUpdate:
    if not users:
        return ConditionUpdate("InUse", False, "NotUsed", "the model is not in use")
    return ConditionUpdate("InUse", True, "Used", f"used by {used_by_text(users)}")


def _guarded(installed: bool) -> ConditionUpdate:
    if installed:
        return ConditionUpdate("Guarded", True, "GuardInstalled", "the API server refuses to delete the model while it is in use")
    message = "the admission policies that protect models in use from deletion are not installed (chart value guard.enabled)"
    return ConditionUpdate("Guarded", False, "GuardNotInstalled", message)


def _base_text(spec: FineTunedModelSpec | None) -> str | None:
    if spec is None:
        return None
    return spec.base.source or (f"FineTunedModel/{spec.base.fine_tuned_model.name}" if spec.base.fine_tuned_model else None)


def _events(old: FineTunedModelStatus, new: FineTunedModelStatus, inspection: Inspection) -> tuple[EventNote, ...]:
    """When the model becomes ready, with its shortcomings, and when it becomes stalled."""
    if holds(new.conditions, "Ready") and not holds(old.conditions, "Ready"):
        return (EventNote("Normal", inspection.reason, short(inspection.message)), *shortcoming_events(old.conditions, new.conditions))
    if inspection.stalled and not holds(old.conditions, "Stalled"):
        return (EventNote("Warning", inspection.reason, short(inspection.message)),)
    return ()


def _used_by(observed: ObservedModel) -> list[str]:
    """ "ModelDeployment/support-bot", sorted."""
    users = [f"ModelDeployment/{user.meta.name}" for user in observed.deployments]
    users += [f"FineTuneJob/{user.meta.name}" for user in observed.tuning]
    users += [f"FineTunedModel/{user.meta.name}" for user in observed.derived if user.meta.name != observed.model.meta.name]
    return sorted(users)[:LISTED]


def used_by_text(users: list[str]) -> str | None:
    """Text of the column: the first few."""
    if not users:
        return None
    rest = f" and {len(users) - NAMED} more" if len(users) > NAMED else ""
    return ", ".join(users[:NAMED]) + rest
