"""What the plans ask and say about a model: its origin, whether it is ready, its scores, and conditions for what is wrong with it.

Missing artifacts, scores that are not better than those of the base, and requests that the server tokenizes differently from training do
not fail a job: conditions and Events report them, and a gate decides.
"""

from collections.abc import Sequence

from finetune_api.comparison import Figures, compared
from finetune_api.model_directory import EvaluationReport, Intervals, MissingArtifact, SkewCheck
from finetune_api.resources.common import Condition
from finetune_api.resources.finetune_job_status import EvaluationStatus, IntervalsStatus
from finetune_api.resources.finetuned_model import MissingArtifactStatus
from finetune_operator.objects.names import JOB_UID_ANNOTATION, SPEC_DIGEST_ANNOTATION
from finetune_operator.objects.records import FineTunedModel
from finetune_operator.plan.common.conditions import FALSE, ConditionUpdate, find, short
from finetune_operator.plan.common.plan import EventNote

LOSS_INCREASED = "LossIncreased"
WORRYING = (
    ("Exported", "False"),
    ("BetterThanBase", "False"),
    ("ServedAsTrained", "False"),
    ("Overfitting", "True"),
    ("QueueSupported", "False"),
)
"""Conditions, and the status of each that causes a Warning."""


def made_by(model: FineTunedModel, job_uid: str) -> bool:
    """True when the job with that uid registered the model."""
    return model.meta.annotations.get(JOB_UID_ANNOTATION) == job_uid


def digest_of(model: FineTunedModel) -> str | None:
    """Digest of the job spec that the model was trained from; None if unknown."""
    lineage = model.status.lineage
    return model.meta.annotations.get(SPEC_DIGEST_ANNOTATION) or (lineage.spec_digest if lineage else None)


def ready_message(model: FineTunedModel) -> str:
    """Reason and message of its Ready condition."""
    ready = find(model.status.conditions, "Ready")
    return f"{ready.reason}: {ready.message}" if ready else "it has not been inspected yet"


def gate_condition(report: EvaluationReport) -> ConditionUpdate:
    """Whether the model passed its gate, with the measured scores."""
    text = "; ".join(gate.text for gate in report.gate)
    if not report.gate:
        return ConditionUpdate("GatePassed", True, "NoGate", f"{score_text(report)}; evaluation.gate is not set")
    return ConditionUpdate("GatePassed", report.gate_passed, "GatePassed" if report.gate_passed else "GateFailed", text)


def gate_text(report: EvaluationReport) -> str:
    """Text of the column."""
    if not report.gate:
        return "none"
    return "passed" if report.gate_passed else "failed"


def evaluation_status(report: EvaluationReport) -> EvaluationStatus:
    """The measured scores, for the status of jobs and models."""
    return EvaluationStatus(
        examples=report.examples,
        base=report.base,
        tuned=report.tuned,
        intervals=IntervalsStatus.model_validate(report.intervals.model_dump()) if report.intervals else None,
        gate=[short(gate.text) for gate in report.gate[:8]],
    )


def score_text(report: EvaluationReport) -> str:
    """ "loss 2.50 (base 4.03)"; for a classifier "accuracy 0.93 (base 0.51)"; and whether it is not better than the base."""
    base, tuned = report.base, report.tuned
    no_gain = {"better": "", "equal": ", equal to base", "worse": ", worse than base"}[compared(base, tuned).verdict]
    metric = "accuracy" if "accuracy" in base and "accuracy" in tuned else "loss"
    return f"{metric} {tuned[metric]:.2f} (base {base[metric]:.2f}){no_gain}"


def exported_condition(missing: Sequence[MissingArtifact | MissingArtifactStatus]) -> ConditionUpdate:
    """Whether all artifacts requested in export were written."""
    if not missing:
        return ConditionUpdate("Exported", True, "Exported", "every requested artifact was written")
    text = "; ".join(f"no {_missing(found)}: {found.message}" for found in missing)
    return ConditionUpdate("Exported", False, short(missing[0].reason, 128), text)


def _missing(found: MissingArtifact | MissingArtifactStatus) -> str:
    precision = f" of precision {found.precision}" if found.precision else ""
    return f"{found.format} artifact{precision}" + ("" if found.checkpoint is None else f" of checkpoint {found.checkpoint}")


def better_condition(base: Figures | None, tuned: Figures | None, intervals: Intervals | IntervalsStatus | None = None) -> ConditionUpdate:
    """Whether the model is better than its base, with the scores, and whether the choice of the validation rows may explain it."""
    if base is None or tuned is None:
        return ConditionUpdate("BetterThanBase", None, "NotEvaluated", "MANIFEST.json has no scores for the model and its base")
    found = compared(base, tuned)
    reason = {"better": "Better", "equal": "NotBetter", "worse": "WorseThanBase"}[found.verdict]
    chance = intervals.difference.get(found.metric) if intervals else None
    text = f"{found.text} (95 % interval of the difference: {chance.low:.4f} to {chance.high:.4f})" if chance else found.text
    return ConditionUpdate("BetterThanBase", found.verdict == "better", reason, text)


def skew_condition(check: SkewCheck | None) -> ConditionUpdate:
    """Whether the server produces the same tokens for validation requests as training did."""
    if check is None or not (check.prompts or check.difference):
        return ConditionUpdate("ServedAsTrained", None, "NotChecked", "publish had no validation requests to check")
    counted = f"{check.equal} of {check.prompts} validation requests have the same tokens as in training"
    if check.difference is None:
        return ConditionUpdate("ServedAsTrained", True, "TokensEqual", counted)
    return ConditionUpdate("ServedAsTrained", False, "TokensDiffer", short(f"{counted}; {check.difference}"))


def no_gain(model: FineTunedModel | None) -> str:
    """The warning on a deployment of a model that is not better than its base; else empty."""
    found = find(model.status.conditions, "BetterThanBase") if model else None
    if model is None or found is None or found.status != FALSE:
        return ""
    return f"FineTunedModel {model.meta.name} is not better than its base: {found.message}"


def shortcoming_events(old: Sequence[Condition], new: Sequence[Condition]) -> tuple[EventNote, ...]:
    """A Warning for each new shortcoming."""
    notes = []
    for condition in new:
        before = find(old, condition.type)
        bad = (condition.type, condition.status) in WORRYING or condition.reason == LOSS_INCREASED
        if bad and (before is None or (before.status, before.reason) != (condition.status, condition.reason)):
            notes.append(EventNote("Warning", condition.reason, short(condition.message)))
    return tuple(notes)
