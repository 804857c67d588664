"""Rows of text-embedding: whether both files have scores, and whether the gate and the batch size suit such rows."""

from finetune_api.metrics import RETRIEVAL_METRICS, SIMILARITY_METRICS
from finetune_trainer.data.profile.dataset_file import ProfiledFile
from finetune_trainer.failure import StageFailure, invalid
from finetune_trainer.tasks import AnyTask


def check_scores(task: AnyTask, train: ProfiledFile, held: ProfiledFile, gate: list[str], batch_size: int | None) -> None:
    """Raises StageFailure where they do not fit; `held` is `train` again where its rows are split, `gate` has the names of metrics,
    `batch_size` is None if it is left open."""
    if task.learner != "embedding":
        return
    scored = train.profile.scored
    if held.profile.scored != scored:
        has, lacks = (train, held) if scored else (held, train)
        raise invalid(
            "InvalidDataset",
            f"the rows of {has.name} have a score and those of {lacks.name} have none: give a score to all rows, or to none",
            param="dataset.validation.source",
        )
    if batch_size == 1 and not scored:
        raise invalid(
            "InvalidHyperparameter",
            "hyperparameters.batchSize is 1, and rows without a score are learned by telling a positive from the other texts of its step: "
            "set at least 2 (by default it is 16 or more)",
            param="hyperparameters.batchSize",
        )
    if wrong := next((name for name in gate if name in (RETRIEVAL_METRICS if scored else SIMILARITY_METRICS)), ""):
        raise gate_refused(wrong, scored=scored)


def gate_refused(metric: str, *, scored: bool) -> StageFailure:
    """InvalidSpec."""
    rows, others = ("with a score", SIMILARITY_METRICS) if scored else ("without a score", RETRIEVAL_METRICS)
    return invalid(
        "InvalidSpec",
        f"evaluation.gate has the metric {metric}, which cannot be computed from rows {rows}: use {' or '.join(others)}, or loss",
        param="evaluation.gate",
    )
