"""What the result of a stage adds to the status of its job."""

from dataclasses import replace

from finetune_api.resources.finetune_job_status import (
    DatasetStatus,
    ExpectedStatus,
    FineTuneJobStatus,
    LabelCount,
    MemoryStatus,
    ProgressStatus,
    QuantilesStatus,
    ResolvedStatus,
)
from finetune_api.result import (
    DatasetSummary,
    Expectation,
    MemoryEstimate,
    PrepareSummary,
    Quantiles,
    StageResult,
    TrainSummary,
)
from finetune_operator.plan.common.conditions import ConditionUpdate, short
from finetune_operator.plan.common.models import (
    better_condition,
    evaluation_status,
    exported_condition,
    gate_condition,
    gate_text,
    skew_condition,
)
from finetune_operator.plan.job.running import OVERFITTING, checkpoint_statuses, loss_text, overfitting_condition

_GIB = 1 << 30


def with_result(status: FineTuneJobStatus, result: StageResult) -> FineTuneJobStatus:
    """The status with the summary of a finished stage."""
    if result.prepare:
        return status.model_copy(update=_prepared(result.prepare))
    if result.train:
        steps, loss = result.train.steps, loss_text(result.train.loss)
        status = status.model_copy(update={"trained_steps": steps, "published_step": result.train.published_step or steps})
        total = steps_made(status)[1] or steps
        progress = (status.progress or ProgressStatus()).model_copy(update={"step": steps, "total_steps": total})
        texts = {"progress_text": done_text(steps, total), "loss_text": loss}
        if result.train.validation:
            texts["validation_loss_text"] = loss_text(result.train.validation.loss)
        kept = checkpoint_statuses(result.train.checkpoints) or status.checkpoints
        return status.model_copy(update={"progress": progress, "checkpoints": kept, **texts})
    if result.publish:
        report = result.publish.evaluation
        scores = {"evaluation": evaluation_status(report), "loss_text": f"{report.tuned['loss']:.3f}", "gate_text": gate_text(report)}
        checkpoints = status.checkpoints
        if not any(warning.code == "CheckpointCopiesLeft" for warning in result.publish.warnings):
            checkpoints = [found.model_copy(update={"uri": None}) for found in checkpoints]  # publish has deleted the copies
        return status.model_copy(update={**scores, "checkpoints": checkpoints})
    return status


def finished_progress(status: FineTuneJobStatus) -> FineTuneJobStatus:
    """The progress of a complete job: that of its training, not of its last stage."""
    steps, total = steps_made(status)
    text = done_text(steps, total) if steps and total else "100%"
    progress = ProgressStatus(activity="finished", step=steps, total_steps=total)
    return status.model_copy(update={"error": None, "eta": None, "progress_text": text, "progress": progress})


def steps_made(status: FineTuneJobStatus) -> tuple[int | None, int | None]:
    """Steps of the training, and how many were planned; early stopping makes fewer."""
    return status.trained_steps or status.total_steps, status.total_steps


def done_text(steps: int, total: int) -> str:
    """ "100% (500/500)", or "stopped early (120/500)"."""
    return f"stopped early ({steps}/{total})" if steps < total else f"100% ({steps}/{steps})"


def result_conditions(result: StageResult) -> tuple[ConditionUpdate, ...]:
    """The conditions that a finished stage determines: DatasetValid, Trained, GatePassed, Exported, BetterThanBase, ServedAsTrained."""
    if result.prepare:
        return (ConditionUpdate("DatasetValid", True, "Validated", dataset_text(result.prepare.dataset)),)
    if result.train:
        overfitting = next((found.message for found in result.train.warnings if found.code == OVERFITTING), "")
        return (_trained(result.train), *overfitting_condition(overfitting, judged=result.train.validation is not None))
    if result.publish:
        report = result.publish.evaluation
        missing, skew = result.publish.missing_artifacts, result.publish.skew_check
        exported = exported_condition(missing)
        said = "; ".join([exported.message, *(warning.message for warning in result.publish.warnings)])
        better = better_condition(report.base, report.tuned, report.intervals)
        return (gate_condition(report), replace(exported, message=said), better, skew_condition(skew))
    return ()


def _trained(summary: TrainSummary) -> ConditionUpdate:
    text = f"{summary.steps} steps, training loss {summary.loss:.3f}"
    if found := summary.validation:
        text += f", validation loss {found.loss:.3f}, lowest {found.best_loss:.3f} at step {found.best_step}"
    if summary.published_step is not None:
        text += f"; the weights of step {summary.published_step} are published"
    said = [found for found in summary.warnings if found.code != OVERFITTING]  # which has a condition of its own
    reason = said[0].code if said else "StoppedEarly" if summary.stopped_early else "Finished"
    early = [f"stopped early: {summary.stopped_early}"] if summary.stopped_early else []
    return ConditionUpdate("Trained", True, short(reason, 128), "; ".join([text, *early, *(warning.message for warning in said)]))


def dataset_status(rows: DatasetSummary) -> DatasetStatus:
    """All counts, truncated to what the schema allows."""
    return DatasetStatus(
        format=short(rows.format, 128) or None,
        train_examples=rows.train_examples,
        validation_examples=rows.validation_examples,
        train_tokens=rows.train_tokens,
        supervised_tokens=rows.supervised_tokens,
        lengths=_quantiles(rows.lengths),
        turns=_quantiles(rows.turns),
        labels=[LabelCount(label=short(label, 256), count=count) for label, count in list(rows.labels.items())[:20]],
        label_count=rows.label_count or None,
        truncated_examples=rows.truncated_examples,
        truncated_tokens=rows.truncated_tokens,
        invalid_rows=rows.invalid_rows,
        duplicates=rows.duplicates,
        near_duplicates=rows.near_duplicates,
        notes=[short(note) for note in rows.notes[:10]],
        digest=short(rows.digest, 80),
    )


def dataset_text(rows: DatasetSummary) -> str:
    """ "90 training examples, 10 validation examples, 900 tokens; left out: 3 invalid rows and 2 duplicates"."""
    counts = f"{rows.train_examples:,} training examples, {rows.validation_examples:,} validation examples, {rows.train_tokens:,} tokens"
    labels = f", {rows.label_count} labels" if rows.label_count else ""
    left = [
        _count(rows.invalid_rows, "invalid row"),
        _count(rows.duplicates, "duplicate"),
        _count(rows.in_both, "row of the validation file", "rows of the validation file"),
        _count(rows.without_target, "example without supervised tokens", "examples without supervised tokens"),
    ]
    without = " and ".join(text for text in left if text)
    cut = f"; {_count(rows.truncated_examples, 'example')} truncated to maxSequenceLength" if rows.truncated_examples else ""
    return f"{counts}{labels}{f'; left out: {without}' if without else ''}{cut}"


def memory_status(memory: MemoryEstimate) -> MemoryStatus:
    """The memory that a training process needs, and what is available."""
    parts = {
        "weights": memory.weights,
        "gradients": memory.gradients,
        "optimizer": memory.optimizer,
        "activations": memory.activations,
        "logits": memory.logits,
        "runtime": memory.runtime,
    }
    made_of = ", ".join(f"{name} {_amount(count)}" for name, count in parts.items())
    known = f"{_amount(memory.total)} of {_amount(memory.available)} ({memory.available_from})" if memory.available is not None else ""
    unknown = f"{_amount(memory.total)}, available memory unknown; set training.gpuMemory, or training.resources.limits.memory on a CPU"
    return MemoryStatus(
        text=short(f"{known or unknown}: {made_of}"),
        total_bytes=memory.total,
        available_bytes=memory.available,
        micro_batch_tokens=memory.micro_batch_tokens,
        accumulation=memory.accumulation,
        gradient_checkpointing=memory.gradient_checkpointing,
    )


def expected_status(steps: int, expected: Expectation) -> ExpectedStatus:
    """ "500 steps, 1.2 M tokens, about 1.4 h, about 8.40 USD", and the basis of the estimate."""
    parts = [f"{steps:,} step{'s' * (steps != 1)}", f"{_tokens(expected.tokens)} tokens"]
    if expected.hours is not None:
        parts.append(_duration(expected.hours))
    if expected.cost is not None:
        parts.append(f"about {expected.cost:.2f} {expected.currency}".rstrip())
    text = ", ".join(parts)
    return ExpectedStatus(
        text=short(f"{text} ({expected.basis})" if expected.basis else text),
        steps=steps,
        tokens=expected.tokens,
        hours=expected.hours,
        cost=expected.cost,
    )


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


def _quantiles(found: Quantiles | None) -> QuantilesStatus | None:
    return QuantilesStatus(p50=found.p50, p95=found.p95, max=found.max) if found else None


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}" if number else ""


def _amount(count: int) -> str:
    return f"{count / _GIB:.1f} GiB" if count >= _GIB else f"{count / 2**20:.0f} MiB"


def _tokens(count: int) -> str:
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)


def _duration(hours: float) -> str:
    if hours >= 1:
        return f"about {hours:g} h"
    minutes = hours * 60
    return f"about {minutes:.0f} min" if minutes >= 1 else "less than a minute"
