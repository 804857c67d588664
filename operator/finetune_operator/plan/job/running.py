"""A running stage: its progress, written at most every WRITE_EVERY seconds."""

from finetune_api.progress import CheckpointFigures, MicroBatches, Progress
from finetune_api.resources.finetune_job_status import CheckpointStatus, FineTuneJobStatus, MemoryStatus, ProgressStatus
from finetune_operator.build.stages import STAGES
from finetune_operator.plan.common.clock import epoch, length, rfc3339
from finetune_operator.plan.common.conditions import ConditionUpdate, short
from finetune_operator.plan.job.view import Step, View, node_lost

WRITE_EVERY = 15.0
OVERFITTING = "Overfitting"
"""Condition, and code of a training's warning."""
CHECKPOINTS = 20


def running(view: View) -> Step | None:
    """All pods of the attempt run or have run."""
    attempt = view.attempt
    if attempt is None or attempt.running_at is None or view.batch is None:
        return None
    stage = STAGES[attempt.stage]
    if view.lost_pods:
        return node_lost(view, stage.phase, view.lost_pods[0])
    status = with_progress(view.status, view.observed.progress, attempt.stage, view.now)
    return Step(status, stage.phase, stage.reason, stage.message, conditions=_noticed(view, status), requeue_after=WRITE_EVERY)


def _noticed(view: View, status: FineTuneJobStatus) -> tuple[ConditionUpdate, ...]:
    """What the progress line says against the training, when it is written to the status."""
    progress = view.observed.progress
    if progress is None or status == view.status:
        return ()
    return overfitting_condition(progress.overfitting, judged=progress.validation_loss is not None)


def with_progress(status: FineTuneJobStatus, progress: Progress | None, stage: str, now: float) -> FineTuneJobStatus:
    """The status with a new progress line, if its text differs and the last write is long enough ago."""
    if progress is None or progress.stage != stage:
        return status
    shown = {
        "progress_text": progress_text(progress),
        "eta": length(progress.eta_seconds) if progress.eta_seconds is not None else None,
        **(_loss_texts(status, progress) if stage == "train" else {}),
    }
    last = epoch(status.progress.updated_at) if status.progress else None
    same = all(getattr(status, name) == text for name, text in shown.items())
    if same or (last is not None and now - last < WRITE_EVERY):
        return status
    memory = {"memory": _memory(status.memory, progress.micro_batches)} if progress.micro_batches else {}
    checkpoints = {"checkpoints": checkpoint_statuses(progress.checkpoints)} if progress.checkpoints else {}
    return status.model_copy(update={**shown, **memory, **checkpoints, "progress": _progress_status(status, progress, now)})


def checkpoint_statuses(checkpoints: list[CheckpointFigures]) -> list[CheckpointStatus]:
    """As many of the newest as a status can hold, and the best one."""
    chosen = [found for place, found in enumerate(checkpoints) if place < CHECKPOINTS - 1 or found.best]
    return [CheckpointStatus(**found.model_dump()) for found in chosen[:CHECKPOINTS]]


def overfitting_condition(message: str, *, judged: bool) -> tuple[ConditionUpdate, ...]:
    """Whether the validation loss rises while the training loss falls; nothing without validations."""
    if message:
        return (ConditionUpdate(OVERFITTING, True, "ValidationLossRises", short(message)),)
    return (ConditionUpdate(OVERFITTING, False, "ValidationLossFalls"),) if judged else ()


def progress_text(progress: Progress) -> str:
    """ "62% (310/500)"; the current activity if there are no steps."""
    return steps_text(progress.step, progress.total_steps) or short(progress.activity)


def steps_text(step: int | None, total: int | None) -> str | None:
    """ "62% (310/500)"; None if there are no steps."""
    return f"{min(100, 100 * step // total)}% ({step}/{total})" if step is not None and total else None


def _loss_texts(status: FineTuneJobStatus, progress: Progress) -> dict[str, str | None]:
    losses = {"loss_text": progress.loss, "validation_loss_text": progress.validation_loss}
    return {name: getattr(status, name) if loss is None else loss_text(loss) for name, loss in losses.items()}


def loss_text(loss: float) -> str:
    """With three decimals, for the column."""
    return f"{loss:.3f}"


def _memory(memory: MemoryStatus | None, found: MicroBatches) -> MemoryStatus:
    """With the micro-batches in effect: after an attempt that ran out of memory, they are half of what prepare planned."""
    values = {
        "micro_batch_tokens": found.tokens,
        "accumulation": found.accumulation,
        "gradient_checkpointing": found.gradient_checkpointing,
    }
    return (memory or MemoryStatus()).model_copy(update=values)


def _progress_status(status: FineTuneJobStatus, progress: Progress, now: float) -> ProgressStatus:
    old = status.progress.checkpoint_step if status.progress else None
    return ProgressStatus(
        activity=short(progress.activity),
        step=progress.step,
        total_steps=progress.total_steps,
        epoch=progress.epoch,
        loss=progress.loss,
        validation_loss=progress.validation_loss,
        validation_accuracy=progress.validation_accuracy,
        reward_accuracy=progress.reward_accuracy,
        reward_margin=progress.reward_margin,
        kl=progress.kl,
        grad_norm=progress.grad_norm,
        tokens_per_second=progress.tokens_per_second,
        mfu=progress.mfu,
        gpu_utilization=progress.gpu_utilization,
        gpu_memory_bytes=progress.gpu_memory_bytes,
        host_memory_bytes=progress.host_memory_bytes,
        checkpoint_step=progress.checkpoint_step if progress.checkpoint_step is not None else old,
        updated_at=rfc3339(now),
    )
