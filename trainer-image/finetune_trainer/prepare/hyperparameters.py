"""A value and a reason for every hyper-parameter: as given, or by the rules below from the data's and the model's size.

The rules are common practice, not measurements of this data set; a given value always wins.
"""

import math
from dataclasses import dataclass
from typing import Any

from finetune_api.resources.learning import Lora
from finetune_api.result import ResolvedParameter
from finetune_api.run_config import RunConfig
from finetune_trainer.prepared import ResolvedHyperparameters

MICRO_BATCH_TOKENS = 1024
AS_GIVEN = "as given"

_EPOCHS = ((100, 5.0), (1_000, 3.0), (10_000, 2.0))
"""(at most so many examples, epochs); one epoch for more."""
_LEARNING_RATES = ((1e9, 5e-4), (20e9, 2e-4))
"""(fewer parameters than, learning rate with LoRA); 1e-4 for more. Full fine-tuning takes a tenth."""
_STEPS_AN_EPOCH = 32
_BATCH = (4, 32)
_SHORT_RUN = 100


@dataclass(frozen=True)
class Facts:
    """What the rules look at."""

    examples: int
    """Training examples that are left."""
    max_sequence_length: ResolvedParameter
    parameters: int


class Resolution:
    """Collects values with their reasons."""

    def __init__(self) -> None:
        self.parameters: dict[str, ResolvedParameter] = {}

    def decide(self, name: str, given: Any, automatic: Any, reason: str) -> Any:
        """The given value, or the automatic one, which has a reason."""
        value, why = (automatic, reason) if given is None else (given, AS_GIVEN)
        self.parameters[name] = ResolvedParameter(value=value, reason=why)
        return value


@dataclass(frozen=True)
class Decided:
    """All hyper-parameters of the run."""

    values: ResolvedHyperparameters
    lora: Lora | None
    """With rank and alpha; None for full fine-tuning."""
    reasons: dict[str, ResolvedParameter]
    """The same for people, by their names in the spec."""


def resolve(config: RunConfig, facts: Facts) -> Decided:
    """A value for everything that the spec leaves open. What depends on the memory (the micro-batch, gradient checkpointing) is
    decided after this, by fit.py."""
    given, into = config.hyperparameters, Resolution()
    batch = decide_batch_size(into, config, facts.examples)
    per_epoch = math.ceil(facts.examples / batch)
    total = decide_length(into, config, facts.examples, per_epoch)
    short = total < _SHORT_RUN
    lora = config.method.type == "lora"
    rate, why_rate = learning_rate(facts.parameters, lora)
    decay = f"linear below {_SHORT_RUN} steps, cosine from there on: the run has {total}"
    decided = ResolvedHyperparameters(
        total_steps=total,
        steps_per_epoch=per_epoch,
        batch_size=batch,
        learning_rate=into.decide("learningRate", given.learning_rate, rate, why_rate),
        scheduler=into.decide("scheduler", given.scheduler, "linear" if short else "cosine", decay),
        warmup_steps=math.ceil(total * into.decide("warmupRatio", given.warmup_ratio, 0.1 if short else 0.03, f"of {total} steps")),
        weight_decay=into.decide(
            "weightDecay", given.weight_decay, 0.0 if lora else 0.01, "usual for LoRA" if lora else "usual for full fine-tuning"
        ),
        max_grad_norm=into.decide("maxGradNorm", given.max_grad_norm, 1.0, "the usual bound"),
        max_sequence_length=int(facts.max_sequence_length.value),
        precision=into.decide("precision", given.precision, "bf16", "half the memory of fp32, with its range"),
        seed=into.decide("seed", given.seed, 42, "the default"),
        checkpoint_every=into.decide("checkpointEvery", config.checkpoints.every_steps, math.ceil(total / 10), f"a tenth of {total} steps"),
        micro_batch_tokens=max(MICRO_BATCH_TOKENS, int(facts.max_sequence_length.value)),
    )
    into.parameters["maxSequenceLength"] = facts.max_sequence_length
    return Decided(decided, config.method.lora if lora else None, into.parameters)


def decide_batch_size(into: Resolution, config: RunConfig, examples: int) -> int:
    """The power of two that gives about 32 steps an epoch, at least one example for each process."""
    smallest, largest = _BATCH
    power = 1 << max(0, math.floor(math.log2(examples / _STEPS_AN_EPOCH))) if examples >= _STEPS_AN_EPOCH else 1
    processes = config.world.nodes * config.world.processes_per_node
    size = min(max(smallest, min(power, largest)), examples)
    size = math.ceil(size / processes) * processes
    spread = f", a multiple of {processes} processes" if processes > 1 else ""
    reason = f"{examples:,} examples: about {_STEPS_AN_EPOCH} steps an epoch, between {smallest} and {largest} examples a step{spread}"
    return int(into.decide("batchSize", config.hyperparameters.batch_size, size, reason))


def decide_length(into: Resolution, config: RunConfig, examples: int, per_epoch: int) -> int:
    """Steps of the run; whichever of epochs and maxSteps is left open follows from the other."""
    given = config.hyperparameters
    if given.max_steps is not None:
        total = given.max_steps
        into.decide("epochs", None, round(total / per_epoch, 4), f"{total} steps of {per_epoch} an epoch")
    else:
        automatic = next((epochs for most, epochs in _EPOCHS if examples <= most), 1.0)
        epochs = into.decide("epochs", given.epochs, automatic, f"{examples:,} examples: fewer examples, more epochs")
        total = max(1, round(per_epoch * epochs))
    into.decide("maxSteps", given.max_steps, total, f"{into.parameters['epochs'].value:g} epochs of {per_epoch} steps")
    return total


def learning_rate(parameters: int, lora: bool) -> tuple[float, str]:
    """By method and model size: larger models take smaller steps, and adapters ten times larger ones than full weights."""
    rate = next((rate for fewer, rate in _LEARNING_RATES if parameters < fewer), 1e-4)
    size = f"{parameters / 1e9:.1f} billion" if parameters >= 1e9 else f"{parameters / 1e6:.0f} million"
    return (rate if lora else rate / 10), f"{'LoRA' if lora else 'full fine-tuning'} of a model with {size} parameters"
