"""Will it fit: the micro-batch, and gradient checkpointing, that fit into the memory there is, or why nothing does.

    fit(run, decided, TrainingFacts(config.json, weights, lengths, supervised)) -> Fit

Called once the rows are cut and the hyperparameters resolved. Knows no files.
"""

from dataclasses import dataclass, replace

from finetune_api.result import MemoryEstimate, ResolvedParameter
from finetune_api.run_config import RunConfig, RunStrategy
from finetune_trainer.optimizers import optimizer_of
from finetune_trainer.prepare.base.architectures import can_recompute
from finetune_trainer.prepare.fit.choice import Choice, TrainingFacts, choose, trained_parameters, ways_to_train
from finetune_trainer.prepare.fit.strategy import with_strategy
from finetune_trainer.prepare.fit.too_large import does_not_fit
from finetune_trainer.prepare.hyperparameters import AS_GIVEN, Decided
from finetune_trainer.workspace.prepared import MicroBatchNeed


@dataclass(frozen=True)
class Fit:
    """What was decided, and what it needs."""

    decided: Decided
    """With micro_batch_tokens and gradient_checkpointing, and the reasons of the latter and of the strategy."""
    strategy: RunStrategy
    memory: MemoryEstimate
    micro_batches: list[MicroBatchNeed]
    """For the ranks to choose from, where the GPU's memory is unknown."""
    optimizer: int
    """Bytes of the state of all ranks' optimizer."""


def fit(run: RunConfig, decided: Decided, facts: TrainingFacts) -> Fit:
    """Chooses the largest micro-batch that fits; raises StageFailure DoesNotFit with changes that would make it fit."""
    run, reasons = with_strategy(run, decided, facts)
    chosen = choose(run, decided, facts)
    available = run.hardware.memory
    if available is not None and chosen.need.total > available:
        raise does_not_fit(run, decided, facts, chosen)
    given = run.hyperparameters.gradient_checkpointing
    why = AS_GIVEN if given is not None else reason(chosen, facts, available)
    values = decided.values.model_copy(
        update={"micro_batch_tokens": chosen.budget, "gradient_checkpointing": chosen.checkpointing},
    )
    reasons = decided.reasons | reasons | {"gradientCheckpointing": ResolvedParameter(value=chosen.checkpointing, reason=why)}
    memory = MemoryEstimate(
        **vars(chosen.need),
        total=chosen.need.total,
        available=available,
        available_from=run.hardware.memory_from,
        micro_batch_tokens=chosen.budget,
        accumulation=chosen.accumulation,
        gradient_checkpointing=chosen.checkpointing,
    )
    unknown = ways_to_train(run, decided, facts) if run.hardware.gpus and available is None else []
    needs = [
        MicroBatchNeed(micro_batch_tokens=way.budget, gradient_checkpointing=way.checkpointing, need=way.need.total) for way in unknown
    ]
    state = optimizer_of(values.optimizer).state_bytes(trained_parameters(run, decided, facts))
    return Fit(replace(decided, values=values, reasons=reasons), run.strategy, memory, needs, state)


def reason(chosen: Choice, facts: TrainingFacts, available: int | None) -> str:
    """Why activations are kept or computed again."""
    if not can_recompute(facts.config):
        return "the base model does not support gradient checkpointing"
    if available is None:
        return "not needed as far as known: the available memory is unknown"
    return "the training does not fit without it" if chosen.checkpointing else "the training fits without it"
