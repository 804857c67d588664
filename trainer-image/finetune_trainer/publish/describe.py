"""What a finished set of artifacts is described by: the skew check, the description, and the model card that shows it."""

from collections.abc import Sequence
from pathlib import Path

from finetune_api.model_directory import EvaluationReport, MissingArtifact, ModelDescription, PublishedCheckpoint
from finetune_trainer.evaluation.skew_check import check_skew
from finetune_trainer.publish.calls import prompting_of
from finetune_trainer.publish.card import model_card
from finetune_trainer.publish.manifest import describe_model
from finetune_trainer.trained import TrainedRun
from finetune_trainer.workspace.files import write_atomic
from finetune_trainer.workspace.requests import read_requests


def describe(
    run: TrainedRun,
    step: int,
    files: Path,
    report: EvaluationReport,
    missing: Sequence[MissingArtifact],
    checkpoints: Sequence[PublishedCheckpoint] = (),
) -> ModelDescription:
    """Of the model of this step, whose artifacts lie below `files`."""
    skew = check_skew(files / "model", read_requests(run.workspace.requests), run.prepared.hyperparameters.max_sequence_length)
    print(skew.difference or f"{skew.equal} of {skew.prompts} validation prompts have the same tokens as in training", flush=True)
    return describe_model(run, step, files, report, missing, skew, checkpoints)


def write_card(run: TrainedRun, description: ModelDescription, files: Path) -> None:
    """README.md."""
    reported = (files / run.workspace.report.name).exists()
    card = model_card(description, run.prepared, prompting_of(run.config, files / "model"), reported=reported)
    write_atomic(files / "README.md", card)
