"""Base against tuned on the same held-out rows, and the tuned model on disk: one model in memory at a time."""

import math
from pathlib import Path

import torch

from finetune_api.exit_codes import ExitCode
from finetune_api.model_directory import EvaluationReport, Scores
from finetune_trainer.evaluation.gate import judge
from finetune_trainer.failure import StageFailure, invalid
from finetune_trainer.methods import method_of
from finetune_trainer.publish.inputs import Inputs
from finetune_trainer.publish.kind import Kind
from finetune_trainer.publish.phases import Phases
from finetune_trainer.publish.weights import copy_adapter, release_memory


def measure_and_write(inputs: Inputs, kind: Kind, files: Path, phases: Phases) -> EvaluationReport:
    """Scores the base, makes the tuned model of it, scores that on the same rows, and writes it to model/ (and adapter/)."""
    evaluation, precision = inputs.config.evaluation, inputs.prepared.hyperparameters.precision
    method = method_of(inputs.config)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with phases.phase("evaluating the base model"):
        model = kind.load(inputs.base, precision, device)
        base = finite("base", kind.score(model, phases.scored))
    with phases.phase("merging"):
        if method.published == "adapter":
            model = method.merge(model, inputs.trained)
            copy_adapter(inputs.trained, inputs.config.base.source.name, files / "adapter")
        else:
            del model
            release_memory()
            model = kind.load(inputs.trained, precision, device)
    with phases.phase("evaluating the tuned model"):
        tuned = finite("tuned", kind.score(model, phases.scored))
    with phases.phase("writing the model"):
        kind.save(model, files / "model")
    del model
    release_memory()
    gate = judge(evaluation.gate, base, tuned)
    return EvaluationReport(
        examples=kind.examples,
        tokens=kind.tokens,
        base=base,
        tuned=tuned,
        gate=gate,
        gate_passed=all(verdict.passed for verdict in gate),
    )


def finite(name: str, scores: Scores) -> Scores:
    """A model whose loss is no number is of no use, and JSON cannot hold it."""
    if math.isfinite(scores.loss):
        return scores
    if name == "base":
        raise invalid(
            "EvaluationNotFinite", "the base model's loss on the validation rows is not finite: try precision fp32",
            param="hyperparameters.precision",
        )  # fmt: skip
    raise StageFailure(
        ExitCode.DIVERGED,
        "Diverged",
        "the tuned model's loss on the validation rows is not finite: lower hyperparameters.learningRate",
        param="hyperparameters.learningRate",
    )
