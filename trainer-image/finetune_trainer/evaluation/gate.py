"""Whether a tuned model is good enough to be deployed. Pure: scores in, verdicts with reasons out."""

from finetune_api.metrics import LEAST_INTERVAL_ROWS, Scores, metric_of
from finetune_api.model_directory import GateResult, Intervals
from finetune_api.resources.evaluation import GateCondition


def judge(conditions: list[GateCondition], base: Scores, tuned: Scores, intervals: Intervals | None = None) -> list[GateResult]:
    """One verdict for each condition, in their order."""
    return [judge_one(condition, base, tuned, intervals) for condition in conditions]


def judge_one(condition: GateCondition, base: Scores, tuned: Scores, intervals: Intervals | None) -> GateResult:
    """A metric that was not measured does not pass."""
    metric = condition.metric
    value, reference = tuned.get(metric), base.get(metric)
    if value is None or reference is None:
        return GateResult(
            metric=metric, passed=False, text=f"{metric} is not available for this task and objective: remove it from evaluation.gate"
        )
    verdicts: list[tuple[bool, str]] = []
    if condition.better_than_base:
        verdicts.append(better_than_base(condition, value, reference, intervals))
    if condition.maximum is not None:
        low = value <= condition.maximum
        verdicts.append((low, f"is {'at most' if low else 'above the maximum of'} {condition.maximum:g}"))
    if condition.minimum is not None:
        high = value >= condition.minimum
        verdicts.append((high, f"is {'at least' if high else 'below the minimum of'} {condition.minimum:g}"))
    reasons = " and ".join(text for _, text in verdicts) or "is not limited"
    return GateResult(metric=metric, passed=all(passed for passed, _ in verdicts), text=f"{metric} {value:.4f} {reasons}")


def better_than_base(condition: GateCondition, value: float, reference: float, intervals: Intervals | None) -> tuple[bool, str]:
    """By the margin, if there is one; with `significant` also at the end of the difference's interval that speaks least for it."""
    metric, margin = metric_of(condition.metric), condition.margin

    def enough(difference: float) -> bool:
        gain = difference if metric.higher_is_better else -difference
        return gain > 0 if margin is None else gain >= margin

    better = metric.is_better(value, reference) and enough(value - reference)
    by = "" if margin is None else f" by at least {margin:g}"
    says = f"is {'' if better else 'not '}better than the base's {reference:.4f}{by}"
    if not condition.significant:
        return better, says
    found = intervals.difference.get(metric.name) if intervals else None
    if found is None:
        return False, f"{says}, but has no confidence interval, which takes at least {LEAST_INTERVAL_ROWS} validation rows"
    sure = better and enough(found.low) and enough(found.high)
    verdict = "significantly" if sure else "but not significantly" if better else "and not significantly"
    return sure, f"{says}, {verdict} (95 % interval of the difference: {found.low:.4f} to {found.high:.4f})"
