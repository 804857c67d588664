"""Conditions as in metav1.Condition: one of each type, with a new transition time only when the status changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from finetune_api.resources.common import Condition
from finetune_operator.plan.common.clock import rfc3339

MESSAGE_LIMIT = 4096
TRUE: Literal["True"] = "True"
FALSE: Literal["False"] = "False"
UNKNOWN: Literal["Unknown"] = "Unknown"


@dataclass(frozen=True, slots=True)
class ConditionUpdate:
    """The new state of a condition."""

    type: str
    holds: bool | None
    """None: unknown."""
    reason: str
    message: str = ""


def find(conditions: Sequence[Condition], type_: str) -> Condition | None:
    """The condition of that type, or None."""
    return next((condition for condition in conditions if condition.type == type_), None)


def holds(conditions: Sequence[Condition], type_: str) -> bool:
    """True when the condition is there and True."""
    found = find(conditions, type_)
    return found is not None and found.status == TRUE


def with_updates(conditions: Sequence[Condition], updates: Sequence[ConditionUpdate], generation: int, now: float) -> list[Condition]:
    """The conditions with the updates applied; other conditions and the order stay unchanged."""
    merged = {condition.type: condition for condition in conditions}
    for update in updates:
        merged[update.type] = _condition(merged.get(update.type), update, generation, now)
    return list(merged.values())


def without(conditions: Sequence[Condition], type_: str) -> list[Condition]:
    """The conditions except those of that type."""
    return [condition for condition in conditions if condition.type != type_]


def stalled(reason: str, message: str) -> tuple[ConditionUpdate, ...]:
    """The object will not become ready without a change."""
    return (
        ConditionUpdate("Ready", False, reason, message),
        ConditionUpdate("Reconciling", False, reason),
        ConditionUpdate("Stalled", True, reason, message),
    )


def _condition(old: Condition | None, update: ConditionUpdate, generation: int, now: float) -> Condition:
    status = UNKNOWN if update.holds is None else TRUE if update.holds else FALSE
    since = old.last_transition_time if old and old.status == status else rfc3339(now)
    return Condition(
        type=update.type,
        status=status,
        reason=update.reason,
        message=short(update.message, MESSAGE_LIMIT),
        last_transition_time=since,
        observed_generation=generation,
    )


def short(text: str, limit: int = 1024) -> str:
    """Truncated to the length that the schema of the resource allows."""
    return text if len(text) <= limit else text[: limit - 3] + "..."
