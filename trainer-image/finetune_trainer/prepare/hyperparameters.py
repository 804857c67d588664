"""A value and a reason for every hyperparameter: as given, or by the rules below from the task, the data's and the model's size.

The rules are common practice, not measurements of this dataset; a given value always wins. What they follow:
- OpenAI (platform.openai.com/docs, "Fine-tuning"): every parameter is "auto" or a number; the fewer examples, the more epochs (3 is the
  cookbook's target); the batch grows with the data (about 0.2 % of it, at most 256), and larger batches take larger steps; a
  learning-rate *multiplier* instead of a rate. Azure has the same three and shows what "auto" became.
- Unsloth ("LoRA hyperparameters guide"): LoRA at 2e-4, full fine-tuning lower, 1 to 3 epochs, rank 16 or 32 with alpha of one or two
  times the rank, warm-up of 5 to 10 % of a short run. Together takes alpha = 2 x rank, and adapters on all linear layers.
- Encoders: Devlin et al. 2019 (BERT), appendix A.3: batches of 16 or 32, 2e-5 to 5e-5, 2 to 4 epochs; Mosbach et al. 2021, "On the
  Stability of Fine-tuning BERT": more epochs where there are few examples, and a warm-up of a tenth.
Memory decides the micro-batch and gradient checkpointing; see fit.py.
"""

import math
from dataclasses import dataclass
from typing import Any

from finetune_api.resources.learning import CheckpointingPolicy
from finetune_api.result import ResolvedParameter
from finetune_api.run_config import RunConfig, RunMethod
from finetune_trainer import operations
from finetune_trainer.data.profile.notes import counted
from finetune_trainer.failure import invalid
from finetune_trainer.methods import method_of
from finetune_trainer.objectives import objective_of
from finetune_trainer.optimizers import ADAMW, optimizer_of
from finetune_trainer.prepare.base.weights import in_words
from finetune_trainer.prepare.speeds import computes_bf16
from finetune_trainer.strategies.tensor_parallel import TENSOR_PARALLEL, default_size
from finetune_trainer.tasks import find_task
from finetune_trainer.workspace.prepared import ResolvedHyperparameters

MICRO_BATCH_TOKENS = 1024
AS_GIVEN = "as given"

_EPOCHS = ((100, 5.0), (1_000, 3.0), (10_000, 2.0), (math.inf, 1.0))
"""(at most so many examples, epochs)."""
_ENCODER_EPOCHS = ((100, 10.0), (1_000, 5.0), (10_000, 3.0), (math.inf, 2.0))
_LEARNING_RATES = ((1e9, 5e-4), (20e9, 2e-4), (math.inf, 1e-4))
"""(fewer parameters than, learning rate of adapters)."""
_ENCODER_LEARNING_RATES = ((2e8, 5e-4), (5e8, 3e-4), (math.inf, 2e-4))
_STEPS_AN_EPOCH = 32
_BATCH = (4, 32)
_EMBEDDING_BATCH = (16, 128)
"""The other rows of a step are the negatives of a text."""
_GPU_TOKENS = 4096
"""Tokens that one of several GPUs needs in a step to be busy."""
_LEAST_STEPS = 16
"""Per epoch, where the batch is raised for several GPUs."""
_SHORT_RUN = 100
_VALIDATION_SHARE = 0.1
"""Of the training's time that validations may take."""
_VALIDATION_ROWS = 32
"""At least: the loss of fewer rows says little."""
_LONG_DATA = 100_000
"""More examples than this take half the learning rate: a long way at full speed leads far from the base."""


@dataclass(frozen=True)
class Facts:
    """What the rules look at."""

    examples: int
    """Training examples that are left."""
    max_sequence_length: ResolvedParameter
    parameters: int
    """Of the base model."""
    mean_length: float = 0
    """Tokens of a training example; 0: unknown."""
    validation_examples: int = 0
    mean_validation_length: float = 0
    """Tokens of a validation example; 0: unknown."""


@dataclass(frozen=True)
class Decided:
    """All hyperparameters of the run."""

    values: ResolvedHyperparameters
    method: RunMethod
    """With a value for every setting that it uses."""
    reasons: dict[str, ResolvedParameter]
    """The same for people, by their names in the spec."""


class Resolution:
    """Collects values with their reasons."""

    def __init__(self) -> None:
        self.parameters: dict[str, ResolvedParameter] = {}

    def decide(self, name: str, given: Any, automatic: Any, reason: str) -> Any:
        """The given value, or the automatic one, which has a reason."""
        value, why = (automatic, reason) if given is None else (given, AS_GIVEN)
        self.parameters[name] = ResolvedParameter(value=value, reason=why)
        return value


def resolve_hyperparameters(config: RunConfig, facts: Facts) -> Decided:
    """A value for everything that the spec leaves open. What depends on the memory (the micro-batch, gradient checkpointing) is
    decided after this, by fit.py."""
    given, into, encoder = config.hyperparameters, Resolution(), find_task(config.task).learner != "language"
    batch = decide_batch_size(into, config, facts)
    per_epoch = math.ceil(facts.examples / batch)
    total = decide_length(into, config, facts.examples, per_epoch)
    short = total < _SHORT_RUN
    falls = "linear" if short or encoder else "cosine"
    why_falls = "usual for encoders" if encoder else f"linear below {_SHORT_RUN} steps, cosine from there on: the run has {total}"
    warm_up = 0.1 if short or encoder else 0.03
    decided = ResolvedHyperparameters(
        total_steps=total,
        steps_per_epoch=per_epoch,
        batch_size=batch,
        optimizer=into.decide("optimizer", given.optimizer, ADAMW.name, "the default"),
        learning_rate=decide_learning_rate(into, config, facts, batch),
        scheduler=into.decide("scheduler", given.scheduler, falls, why_falls),
        shuffle=into.decide("shuffle", given.shuffle, True, "a new order in every epoch"),
        warmup_steps=math.ceil(total * into.decide("warmupRatio", given.warmup_ratio, warm_up, f"of {counted(total, 'step')}")),
        weight_decay=decide_weight_decay(into, config),
        max_grad_norm=into.decide("maxGradNorm", given.max_grad_norm, 1.0, "the usual bound"),
        max_sequence_length=int(facts.max_sequence_length.value),
        precision=decide_precision(into, config),
        seed=into.decide("seed", given.seed, 42, "the default"),
        neftune_noise=decide_noise(into, config),
        gradient_checkpointing_policy=decide_policy(into, config),
        checkpoint_every=decide_checkpoints(into, config, total),
        validation_every=config.evaluation.every_steps,
        early_stopping=given.early_stopping,
        load_best_model_at_end=decide_best(into, config, total),
        validation_examples=decide_validation(into, config, facts, batch),
        micro_batch_tokens=max(MICRO_BATCH_TOKENS, int(facts.max_sequence_length.value)),
    )
    into.parameters["maxSequenceLength"] = facts.max_sequence_length
    return Decided(decided, method_of(config).resolve(config.method, facts.examples, into.decide), into.parameters)


def decide_batch_size(into: Resolution, config: RunConfig, facts: Facts) -> int:
    """The power of two that gives about 32 steps an epoch; more where several GPUs would have too few tokens to compute on."""
    examples, (smallest, largest) = facts.examples, _EMBEDDING_BATCH if find_task(config.task).learner == "embedding" else _BATCH
    power = 1 << max(0, math.floor(math.log2(examples / _STEPS_AN_EPOCH))) if examples >= _STEPS_AN_EPOCH else 1
    processes = config.world.nodes * config.world.processes_per_node
    size = min(max(smallest, min(power, largest)), examples)
    reason = f"{examples:,} examples: about {_STEPS_AN_EPOCH} steps per epoch, between {smallest} and {largest} examples per step"
    if config.hardware.gpus > 1 and facts.mean_length:
        filling = math.ceil(_GPU_TOKENS / facts.mean_length) * processes
        if size < (enough := min(filling, examples // _LEAST_STEPS)):
            size, reason = enough, f"about {_GPU_TOKENS:,} tokens per GPU and step, at least {_LEAST_STEPS} steps per epoch"
        if size < filling:
            reason += f"; {facts.mean_length * size / processes:,.0f} tokens per GPU: fewer GPUs would be as fast"
    check_batch_size(config, processes)
    size = math.ceil(size / processes) * processes
    spread = f", a multiple of {processes} processes" if processes > 1 else ""
    return int(into.decide("batchSize", config.hyperparameters.batch_size, size, reason + spread))


def check_batch_size(config: RunConfig, processes: int) -> None:
    """Raises StageFailure for GPUs that would have no example in any step. Those that divide the layers compute the same examples."""
    given, together = config.hyperparameters.batch_size, 1
    if config.strategy.type == TENSOR_PARALLEL.name:
        together = config.strategy.tensor_parallel_size or default_size(config.world)
    if given is not None and config.hardware.gpus and given * together < processes:
        raise invalid(
            "InvalidHyperparameter",
            f"hyperparameters.batchSize is {given}, so only {given * together} of the {processes} GPUs would have an example in a step: "
            "set a larger batchSize, or fewer GPUs (training.nodes, training.gpusPerNode)",
            param="hyperparameters.batchSize",
        )


def decide_length(into: Resolution, config: RunConfig, examples: int, per_epoch: int) -> int:
    """Steps of the run; whichever of epochs and maxSteps is left open follows from the other."""
    given = config.hyperparameters
    if given.max_steps is not None:
        total = given.max_steps
        into.decide("epochs", None, round(total / per_epoch, 4), f"{counted(total, 'step')} of {per_epoch} an epoch")
    else:
        automatic = up_to(examples, _EPOCHS if find_task(config.task).learner == "language" else _ENCODER_EPOCHS)
        epochs = into.decide("epochs", given.epochs, automatic, f"{examples:,} examples: fewer examples, more epochs")
        total = max(1, round(per_epoch * epochs))
    decided = into.parameters["epochs"].value
    into.decide("maxSteps", given.max_steps, total, f"{decided:g} {'epoch' if decided == 1 else 'epochs'} of {counted(per_epoch, 'step')}")
    return total


def decide_learning_rate(into: Resolution, config: RunConfig, facts: Facts, batch: int) -> float:
    """As given, or the automatic rate, times the multiplier where there is one."""
    given = config.hyperparameters
    rate, reason = learning_rate(config, facts, batch)
    if given.learning_rate is not None:
        return float(into.decide("learningRate", given.learning_rate, rate, reason))
    multiplier = into.decide("learningRateMultiplier", given.learning_rate_multiplier, 1.0, "the automatic learning rate")
    if given.learning_rate_multiplier is not None:
        rate, reason = tidy(rate * multiplier), f"automatic {rate:g} x {multiplier:g}: {reason}"
    return float(into.decide("learningRate", None, rate, reason))


def decide_weight_decay(into: Resolution, config: RunConfig) -> float:
    """The method's, times the optimizer's factor."""
    method, optimizer = method_of(config), optimizer_of(config.hyperparameters.optimizer)
    decay, reason = method.weight_decay * optimizer.weight_decay_scale, f"usual for {method.title}"
    if decay and optimizer.weight_decay_scale != 1:
        reason += f", x {optimizer.weight_decay_scale:g} for {optimizer.title}"
    return float(into.decide("weightDecay", config.hyperparameters.weight_decay, decay, reason))


def decide_policy(into: Resolution, config: RunConfig) -> CheckpointingPolicy:
    """As given; raises StageFailure where there is no gradient checkpointing that it would be of."""
    given = config.hyperparameters
    if given.gradient_checkpointing_policy is None:
        return "full"
    if given.gradient_checkpointing is False:
        raise invalid(
            "InvalidSpec",
            "hyperparameters.gradientCheckpointingPolicy has no effect, as gradientCheckpointing is false: remove one of them",
            param="hyperparameters.gradientCheckpointingPolicy",
        )
    into.decide("gradientCheckpointingPolicy", given.gradient_checkpointing_policy, None, "")
    return given.gradient_checkpointing_policy


def decide_noise(into: Resolution, config: RunConfig) -> float | None:
    """As given; raises StageFailure for a task that has no use for it."""
    given, task = config.hyperparameters.neftune_noise, find_task(config.task)
    if given is None:
        return None
    if task.learner != "language":
        raise invalid(
            "InvalidSpec",
            f"hyperparameters.neftuneNoise is {given:g}, and task {task.name} trains no language model: remove it, or use another task",
            param="hyperparameters.neftuneNoise",
        )
    return float(into.decide("neftuneNoise", given, None, ""))


def decide_checkpoints(into: Resolution, config: RunConfig, total: int) -> int:
    """A tenth of the run; with validations a multiple of their distance, so that checkpoints have a validation loss."""
    tenth, between = math.ceil(total / 10), config.evaluation.every_steps or 1
    every = max(1, round(tenth / between)) * between
    if config.checkpoints.publish and every >= total:
        every = tenth  # one of the last step alone is the model itself
    reason = f"a tenth of {counted(total, 'step')}" + (", validated" if between > 1 and every % between == 0 else "")
    decided = int(into.decide("checkpointEvery", config.checkpoints.every_steps, every, reason))
    if config.checkpoints.publish and decided >= total and not writes_best(config, total):
        raise invalid(
            "InvalidSpec",
            f"checkpoints.publish is true, and the training of {counted(total, 'step')} has a checkpoint every {counted(decided, 'step')}, "
            f"so there would be no checkpoint to publish: {'lower everySteps' if total > 1 else 'train for more steps'}",
            param="checkpoints.everySteps" if total > 1 else "checkpoints.publish",
        )
    return decided


def writes_best(config: RunConfig, total: int) -> bool:
    """Whether a validation before the last step may find a lower loss, and have a checkpoint written."""
    given = config.hyperparameters
    wanted = given.early_stopping is not None if given.load_best_model_at_end is None else given.load_best_model_at_end
    return wanted and config.evaluation.every_steps is not None and config.evaluation.every_steps < total


def decide_best(into: Resolution, config: RunConfig, total: int) -> bool:
    """Whether the best weights are the result; raises StageFailure for a wish that nothing is measured for."""
    given = config.hyperparameters
    stopping, validated = given.early_stopping, config.evaluation.every_steps is not None
    if not validated and (stopping or given.load_best_model_at_end):
        name = "earlyStopping" if stopping else "loadBestModelAtEnd"
        text = f"hyperparameters.{name} needs the validation loss of the training: set evaluation.everySteps"
        raise invalid("InvalidSpec", text, param="evaluation.everySteps")
    if stopping:
        into.decide("earlyStopping.patience", stopping.patience, None, "")
        if (validations := math.ceil(total / (config.evaluation.every_steps or total))) <= stopping.patience + 1:  # the first is no miss
            why = f"{AS_GIVEN}; too few to stop early: the training has {counted(validations, 'validation')}"
            into.parameters["earlyStopping.patience"] = ResolvedParameter(value=stopping.patience, reason=why)
        into.decide("earlyStopping.minimumImprovement", stopping.minimum_improvement, None, "")
    if not validated:
        return False
    reason = "earlyStopping is set" if stopping else "the default without earlyStopping"
    return bool(into.decide("loadBestModelAtEnd", given.load_best_model_at_end, stopping is not None, reason))


def decide_validation(into: Resolution, config: RunConfig, facts: Facts, batch: int) -> int:
    """Rows of a validation: as many as its share of the time allows, so that the rows do not depend on how fast the training is."""
    every = config.evaluation.every_steps
    if every is None:
        return 0
    into.decide("validationEvery", every, None, "")
    longer = facts.mean_validation_length / facts.mean_length if facts.mean_length and facts.mean_validation_length else 1.0
    all_rows = min(facts.validation_examples, config.evaluation.max_examples)
    trained = every * batch * operations.trained(config)
    as_long = trained / (operations.validated(config) * longer)  # rows of a validation that takes as long as the steps before it
    rows = min(all_rows, max(_VALIDATION_ROWS, int(_VALIDATION_SHARE * as_long)))
    reason = f"of {all_rows:,}: takes about {rows / as_long:.0%} of the time of {counted(every, 'step')}"
    return int(into.decide("validationExamples", None, rows, reason))


def learning_rate(config: RunConfig, facts: Facts, batch: int) -> tuple[float, str]:
    """By task, method and model size, then by batch and data size: larger models take smaller steps, adapters ten times larger ones
    than full weights."""
    method, encoder = method_of(config), find_task(config.task).learner != "language"
    table = _ENCODER_LEARNING_RATES if encoder else _LEARNING_RATES
    rate = next(rate for fewer, rate in table if facts.parameters < fewer) * method.learning_rate_scale
    kind = "an encoder" if encoder else "a model"
    reason = f"{method.title} of {kind} with {in_words(facts.parameters)} parameters"
    for chosen in (objective_of(config), optimizer_of(config.hyperparameters.optimizer)):
        if chosen.learning_rate_scale != 1:
            rate, reason = rate * chosen.learning_rate_scale, f"{reason}, x {chosen.learning_rate_scale:g} for {chosen.title}"
    if batch > _BATCH[1]:
        growth = min(2.0, math.sqrt(batch / _BATCH[1]))
        rate, reason = rate * growth, f"{reason}, x {growth:.2g} for batches of {batch}"
    if facts.examples > _LONG_DATA:
        rate, reason = rate / 2, f"{reason}, half of it for {facts.examples:,} examples"
    return tidy(rate), reason


def decide_precision(into: Resolution, config: RunConfig) -> Any:
    """bf16, but on a GPU that is known not to have it; raises StageFailure where the spec wants what the device does not have."""
    given, product = config.hyperparameters.precision, config.hardware.gpu_product
    if given in ("fp16", "tf32") and not config.hardware.gpus:
        raise invalid(
            "PrecisionNotSupported",
            f"hyperparameters.precision is {given}, which needs GPUs: set training.gpusPerNode (in a run config: hardware.gpus), or use "
            "bf16 or fp32",
            param="hyperparameters.precision",
        )
    if product and not computes_bf16(product):
        if given in ("bf16", "tf32"):
            raise invalid(
                "PrecisionNotSupported",
                f"hyperparameters.precision is {given}, and the training may run on a node whose GPU, {product}, does not support it: "
                "set fp16 or fp32, leave it out, or choose other nodes with training.pod.nodeSelector",
                param="hyperparameters.precision",
            )
        return into.decide("precision", given, "fp32", f"{product} does not support bf16")
    return into.decide("precision", given, "bf16", "half the memory of fp32, with its range")


def up_to(count: int, table: tuple[tuple[float, Any], ...]) -> Any:
    """The value of the first line of a table that holds `count`."""
    return next(value for most, value in table if count <= most)


def tidy(rate: float) -> float:
    """Three significant digits: what a person can copy."""
    return float(f"{rate:.3g}")
