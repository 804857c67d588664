"""What a stage's result adds to the job's status."""

from finetune_api.comparison import compared
from finetune_api.model_directory import EvaluationReport, Scores
from finetune_api.resources.finetune_job_status import (
    EvaluationStatus,
    FineTuneJobStatus,
    ProgressStatus,
    ResolvedStatus,
    ScoresStatus,
)
from finetune_api.result import PrepareSummary, StageResult, TrainSummary
from finetune_operator.plan.common.conditions import ConditionUpdate, short
from finetune_operator.plan.common.shortcomings import better_condition, exported_condition, skew_condition
from finetune_operator.plan.job.prepared import dataset_status, dataset_text, expected_status, memory_status


def with_result(status: FineTuneJobStatus, result: StageResult) -> FineTuneJobStatus:
    """The status with a finished stage's summary in it."""
    if result.prepare:
        return status.model_copy(update=_prepared(result.prepare))
    if result.train:
        steps, loss = result.train.steps, f"{result.train.loss:.3f}"
        progress = (status.progress or ProgressStatus()).model_copy(update={"step": steps, "total_steps": steps})
        return status.model_copy(update={"progress": progress, "progress_text": f"100% ({steps}/{steps})", "loss_text": loss})
    if result.publish:
        report = result.publish.evaluation
        scores = {"evaluation": evaluation_status(report), "loss_text": f"{report.tuned.loss:.3f}", "gate_text": gate_text(report)}
        return status.model_copy(update=scores)
    return status


def finished_progress(status: FineTuneJobStatus) -> FineTuneJobStatus:
    """The progress of a job that is complete: that of its training, not that of the last stage's small steps."""
    steps = status.total_steps
    text = f"100% ({steps}/{steps})" if steps else "100%"
    progress = ProgressStatus(activity="finished", step=steps, total_steps=steps)
    return status.model_copy(update={"error": None, "eta": None, "progress_text": text, "progress": progress})


def result_conditions(result: StageResult) -> tuple[ConditionUpdate, ...]:
    """The conditions that a finished stage settles: DatasetValid, Trained, GatePassed, Exported, BetterThanBase,
    ServedAsTrained."""
    if result.prepare:
        return (ConditionUpdate("DatasetValid", True, "Validated", dataset_text(result.prepare.dataset)),)
    if result.train:
        return (_trained(result.train),)
    if result.publish:
        report = result.publish.evaluation
        missing, skew = result.publish.missing_artifacts, result.publish.skew_check
        return (gate_condition(report), exported_condition(missing), better_condition(report.base, report.tuned), skew_condition(skew))
    return ()


def _trained(summary: TrainSummary) -> ConditionUpdate:
    text = f"{summary.steps} steps, training loss {summary.loss:.3f}"
    if not summary.warnings:
        return ConditionUpdate("Trained", True, "Finished", text)
    return ConditionUpdate(
        "Trained", True, short(summary.warnings[0].code, 128), "; ".join([text, *(found.message for found in summary.warnings)])
    )


def gate_condition(report: EvaluationReport) -> ConditionUpdate:
    """Whether the model may be deployed, with the measured figures."""
    text = "; ".join(gate.text for gate in report.gate)
    if not report.gate:
        return ConditionUpdate("GatePassed", True, "NoGate", f"{score_text(report)}; evaluation.gate is not set")
    return ConditionUpdate("GatePassed", report.gate_passed, "GatePassed" if report.gate_passed else "GateFailed", text)


def gate_text(report: EvaluationReport) -> str:
    """For the column."""
    if not report.gate:
        return "none"
    return "passed" if report.gate_passed else "failed"


def evaluation_status(report: EvaluationReport) -> EvaluationStatus:
    """The measured figures as both kinds show them."""
    return EvaluationStatus(
        examples=report.examples,
        base=_scores(report.base),
        tuned=_scores(report.tuned),
        gate=[short(gate.text) for gate in report.gate[:8]],
    )


def score_text(report: EvaluationReport) -> str:
    """ "loss 2.50 (base 4.03)"; of a classifier "accuracy 0.93 (base 0.51)"; and whether that is no gain."""
    base, tuned = report.base, report.tuned
    no_gain = {"better": "", "equal": ", equal to base", "worse": ", worse than base"}[compared(base, tuned).verdict]
    if tuned.accuracy is not None:
        return f"accuracy {tuned.accuracy:.2f}" + (f" (base {base.accuracy:.2f}){no_gain}" if base.accuracy is not None else "")
    return f"loss {tuned.loss:.2f} (base {base.loss:.2f}){no_gain}"


def _scores(scores: Scores) -> ScoresStatus:
    return ScoresStatus(loss=scores.loss, perplexity=scores.perplexity, accuracy=scores.accuracy, f1=scores.f1)


def _prepared(summary: PrepareSummary) -> dict[str, object]:
    return {
        "total_steps": summary.total_steps,
        "model_bytes": summary.estimate.model_bytes,
        "dataset": dataset_status(summary.dataset),
        "memory": memory_status(summary.memory) if summary.memory else None,
        "expected": expected_status(summary.total_steps, summary.expected) if summary.expected else None,
        "hyperparameters": [
            ResolvedStatus(name=short(name, 64), value=short(found.text, 128), reason=short(found.reason))
            for name, found in sorted(summary.hyperparameters.items())[:32]
        ],
    }
