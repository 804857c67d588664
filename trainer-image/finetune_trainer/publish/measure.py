"""Base against tuned on the same held-out rows, and the tuned model on disk: one model in memory at a time."""

import math
from pathlib import Path

import torch

from finetune_api.exit_codes import ExitCode
from finetune_api.model_directory import EvaluationReport, Scores
from finetune_trainer.evaluation.gate import judge
from finetune_trainer.evaluation.rows import read_rows
from finetune_trainer.evaluation.score import score
from finetune_trainer.failure import StageFailure, invalid
from finetune_trainer.publish.inputs import Inputs
from finetune_trainer.publish.phases import Phases
from finetune_trainer.publish.weights import copy_adapter, load_model, merge_adapter, release_memory, save_model


def measure_and_write(inputs: Inputs, files: Path, phases: Phases) -> EvaluationReport:
    """Scores the base, makes the tuned model of it, scores that on the same rows, and writes it to model/ (and adapter/)."""
    prepared, evaluation = inputs.prepared, inputs.config.evaluation
    precision, budget = prepared.hyperparameters.precision, prepared.hyperparameters.micro_batch_tokens
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows = read_rows(inputs.workspace.validation_rows, evaluation.max_examples)
    with phases.phase("evaluating the base model"):
        model = load_model(inputs.base, precision, device)
        base = finite("base", score(model, rows, budget, phases.tokens))
    with phases.phase("merging"):
        if inputs.config.method.type == "lora":
            model = merge_adapter(model, inputs.trained)
            copy_adapter(inputs.trained, inputs.config.base.source.name, files / "adapter")
        else:
            del model
            release_memory()
            model = load_model(inputs.trained, precision, device)
    with phases.phase("evaluating the tuned model"):
        tuned = finite("tuned", score(model, rows, budget, phases.tokens))
    with phases.phase("writing the model"):
        save_model(model, inputs.base, prepared.eos_token_ids, files / "model")
    del model
    release_memory()
    gate = judge(evaluation.gate, base, tuned)
    return EvaluationReport(
        examples=len(rows),
        tokens=sum(row.targets for row in rows),
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
            "EvaluationNotFinite", "the base model's loss on the held-out rows is not finite: try precision fp32",
            param="hyperparameters.precision",
        )  # fmt: skip
    raise StageFailure(
        ExitCode.DIVERGED,
        "Diverged",
        "the tuned model's loss on the held-out rows is not finite: lower hyperparameters.learningRate",
        param="hyperparameters.learningRate",
    )
