"""Whether a tuned model is good enough to be deployed. Pure: scores in, verdicts with reasons out."""

from finetune_api.metrics import Scores, metric_of
from finetune_api.model_directory import GateResult
from finetune_api.resources.evaluation import GateCondition


def judge(conditions: list[GateCondition], base: Scores, tuned: Scores) -> list[GateResult]:
    """One verdict for each condition, in their order."""
    return [judge_one(condition, base, tuned) for condition in conditions]


def judge_one(condition: GateCondition, base: Scores, tuned: Scores) -> GateResult:
    """A metric that was not measured does not pass."""
    metric = condition.metric
    value, reference = tuned.get(metric), base.get(metric)
    if value is None or reference is None:
        return GateResult(
            metric=metric, passed=False, text=f"{metric} is not available for this task and objective: remove it from evaluation.gate"
        )
    verdicts: list[tuple[bool, str]] = []
    if condition.better_than_base:
        better = metric_of(metric).is_better(value, reference)
        verdicts.append((better, f"is {'' if better else 'not '}better than the base's {reference:.4f}"))
    if condition.maximum is not None:
        low = value <= condition.maximum
        verdicts.append((low, f"is {'at most' if low else 'above the maximum of'} {condition.maximum:g}"))
    if condition.minimum is not None:
        high = value >= condition.minimum
        verdicts.append((high, f"is {'at least' if high else 'below the minimum of'} {condition.minimum:g}"))
    reasons = " and ".join(text for _, text in verdicts) or "is not limited"
    return GateResult(metric=metric, passed=all(passed for passed, _ in verdicts), text=f"{metric} {value:.4f} {reasons}")
