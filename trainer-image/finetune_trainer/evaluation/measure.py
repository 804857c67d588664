"""Base against tuned on the same validation rows: one model in memory at a time."""

import math
from typing import Any

import torch

from finetune_api.exit_codes import ExitCode
from finetune_api.model_directory import EvaluationReport
from finetune_api.resources.learning import Precision
from finetune_trainer.distributed.device import release_memory
from finetune_trainer.evaluation.gate import judge
from finetune_trainer.failure import StageFailure, invalid
from finetune_trainer.learner import Learner, dtype_of
from finetune_trainer.methods import method_of
from finetune_trainer.methods.cast import cast_weights
from finetune_trainer.stage.phases import Phases
from finetune_trainer.statistics.bootstrap import intervals
from finetune_trainer.statistics.statistic import Measured
from finetune_trainer.trained import TrainedRun, TunedModel


def measure(
    run: TrainedRun, learner: Learner, phases: Phases, base: Measured | None = None
) -> tuple[EvaluationReport, Measured, TunedModel]:
    """Scores the base, makes the tuned model of it, and scores that. Scores are computed on a GPU where there is one.

    `base`: what was measured of the base, where that is known already. It is among what is returned.
    """
    evaluation, precision = run.config.evaluation, run.prepared.hyperparameters.precision
    method = method_of(run.config)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model: Any = None
    if base is None or method.published == "adapter":
        with phases.phase("loading the base model" if base else "evaluating the base model"):
            model = computing(learner.load(run.base, precision, device), precision, device)
            base = base or finite("base", learner.score(model, phases.scored))
    with phases.phase("merging"):
        if method.published == "adapter":
            model = method.merge(model, run.weights)
        else:
            model = None
            release_memory()
            model = learner.load(run.weights, precision, device)
        model = computing(model, precision, device)
    with phases.phase("evaluating the tuned model"):
        tuned = finite("tuned", learner.score(model, phases.scored))
    with phases.phase("computing confidence intervals"):
        chance = intervals(base, tuned)
    gate = judge(evaluation.gate, base.scores, tuned.scores, chance)
    report = EvaluationReport(
        examples=learner.examples,
        tokens=learner.tokens,
        base=base.scores,
        tuned=tuned.scores,
        intervals=chance,
        gate=gate,
        gate_passed=all(verdict.passed for verdict in gate),
    )
    return report, base, TunedModel(cast_weights(model, dtype_of(precision)) if emulated(precision, device) else model)


def emulated(precision: Precision, device: str) -> bool:
    """True where numbers of 16 bits are computed with in fp32: a CPU is slow in fp16, and there norms and softmax may overflow."""
    return precision == "fp16" and device == "cpu"


def computing(model: Any, precision: Precision, device: str) -> Any:
    """The model with the weights that it has in `precision`, as numbers that the device computes with."""
    return cast_weights(cast_weights(model, dtype_of(precision)), torch.float32) if emulated(precision, device) else model


def finite(name: str, measured: Measured) -> Measured:
    """A model whose loss is not finite cannot be used, and JSON cannot hold the number."""
    if math.isfinite(measured.scores["loss"]):
        return measured
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
