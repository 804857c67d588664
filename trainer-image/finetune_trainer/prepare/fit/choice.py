"""What a training could run with: micro-batches and gradient checkpointing, the fastest first, and what each needs.

Knows the steps of the run (train's own plan), so that the heaviest micro-batch is one that there will be.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune_api.run_config import RunConfig
from finetune_trainer.families import families
from finetune_trainer.methods import method_of
from finetune_trainer.objectives import objective_of
from finetune_trainer.optimizers import TrainedParameters, optimizer_of
from finetune_trainer.prepare.base.architectures import can_recompute
from finetune_trainer.prepare.base.weights import Weights
from finetune_trainer.prepare.fit.memory import CPU, GPU, DeviceProfile, Micro, Need, TrainedModel, need
from finetune_trainer.prepare.fit.model_shape import ModelShape, model_shape
from finetune_trainer.prepare.hyperparameters import Decided
from finetune_trainer.step_plan import STEPS_LOOKED_AT, Layout, MicroBatch, StepPlan
from finetune_trainer.strategies import strategy_of
from finetune_trainer.tasks import find_task
from finetune_trainer.workspace.prepared import HEADROOM

Counts = NDArray[np.int64]
CPU_TOKENS = 1024
GPU_TOKENS = 8192
"""Maximum tokens of a micro-batch: larger ones are no faster. A GPU of unknown memory gets no more than a CPU."""


@dataclass(frozen=True)
class TrainingFacts:
    """What the memory of a training depends on beside the spec."""

    config: dict[str, Any]
    """The base model's config.json."""
    weights: Weights
    lengths: Counts
    """Tokens that each training example takes in a micro-batch, after the cut."""
    supervised: Counts
    """Tokens of each example that the loss is computed on; of a classifier, 1 (token-classification: tagged tokens)."""
    labels: int = 0
    """Classes of a classifier, 0 for a language model."""


@dataclass(frozen=True)
class Choice:
    """A micro-batch, and what a process needs with it."""

    budget: int
    checkpointing: bool
    need: Need
    accumulation: int


def choose(run: RunConfig, decided: Decided, facts: TrainingFacts) -> Choice:
    """The first of the choices that fits with some room, else that fits at all, else the smallest there is."""
    available = run.hardware.memory
    smallest: Choice | None = None
    for room in (HEADROOM, 1.0):  # what fits into the rest is taken only where nothing smaller is left
        for choice in choices(run, decided, facts):
            if available is None or choice.need.total <= room * available:
                return choice
            smallest = choice if smallest is None or choice.need.total < smallest.need.total else smallest
    assert smallest is not None
    return smallest


def ways_to_train(run: RunConfig, decided: Decided, facts: TrainingFacts) -> list[Choice]:
    """All of them for a GPU of unknown memory, the fastest first."""
    large = run.model_copy(update={"hardware": run.hardware.model_copy(update={"memory": 1 << 62})})
    return list(choices(large, decided, facts))


def choices(run: RunConfig, decided: Decided, facts: TrainingFacts) -> Iterator[Choice]:
    """The fastest first: large micro-batches before small ones, and all of them before activations are computed again."""
    given, longest = run.hyperparameters.gradient_checkpointing, int(facts.lengths.max())
    ways = (False, True) if given is None and can_recompute(facts.config) else (given is True,)
    device = GPU if run.hardware.gpus else CPU
    largest = GPU_TOKENS if run.hardware.gpus and run.hardware.memory is not None else CPU_TOKENS
    budgets = [max(largest >> half, longest) for half in range(6)]
    for checkpointing in ways:
        model = trained_model(run, decided, facts, checkpointing)
        for budget in dict.fromkeys(budgets):
            yield heaviest(run, decided, facts, model, device, budget)


def heaviest(run: RunConfig, decided: Decided, facts: TrainingFacts, model: TrainedModel, device: DeviceProfile, budget: int) -> Choice:
    """The micro-batch that needs most, among those of the first steps and the longest example by itself."""
    classifier = find_task(run.task).learner != "language"
    hyper = decided.values
    layout: Layout = "padded" if classifier else "packed"
    plan = StepPlan(facts.lengths, facts.supervised, hyper.batch_size, budget, hyper.seed, model.shares, layout, hyper.shuffle)
    steps = [plan.step(0, number).ranks for number in range(min(plan.steps_per_epoch, STEPS_LOOKED_AT))]
    accumulation = max(len(rank) for step in steps for rank in step)
    longest = MicroBatch(0, (int(facts.lengths.argmax()),))
    objective = objective_of(run)
    several = objective.compares and not objective.rates
    micros = {as_micro(batch, facts, classifier, several) for step in steps for rank in step for batch in rank}
    micros.add(as_micro(longest, facts, classifier, several))
    most = max((need(model, micro, device) for micro in micros), key=lambda found: found.total)
    return Choice(budget, model.checkpointing, most, accumulation)


def as_micro(batch: MicroBatch, facts: TrainingFacts, classifier: bool, several: bool) -> Micro:
    """Its counts. Padded rows have a mask, and packed ones where there are several examples, or `several` answers in each."""
    rows = list(batch.examples)
    lengths, supervised = facts.lengths[rows], int(facts.supervised[rows].sum())
    if classifier:
        return Micro(int(lengths.max()) * len(rows), supervised, int(lengths.max()), max(1, facts.labels))
    tokens = int(lengths.sum())
    return Micro(tokens, supervised, tokens if len(rows) > 1 or several else 0)


def trained_parameters(run: RunConfig, decided: Decided, facts: TrainingFacts) -> TrainedParameters:
    """What changes, by kind."""
    shape, weights, method = model_shape(facts.config, facts.weights), facts.weights, method_of(run)
    layers = weights.linear_layers
    head = new_head(shape, facts)
    total = method.trained(weights.parameters, layers, decided.method)
    if method.trains_base:
        embeddings = min(shape.vocabulary * shape.hidden, shape.outside)
        matrices = sum(math.prod(matrix) for name, matrix in layers.items() if "experts" not in name)
        factors = sum(map(rows_and_columns, weights.shapes.values()))
    else:
        sides = sum(outputs + inputs for outputs, inputs in method.adapted(layers, decided.method).values())
        rank = total / sides if sides else 0  # low-rank matrices: rank x inputs and outputs x rank; below 1 they are vectors
        embeddings, matrices, factors = 0, total if rank >= 1 else 0, min(total, sides + 2 * round(rank) * len(layers)) if sides else total
    return TrainedParameters(head + total, matrices, embeddings, factors + head)


def rows_and_columns(shape: tuple[int, ...]) -> int:
    """Of one tensor, whose last two dimensions are those of a matrix; all values of a vector."""
    return math.prod(shape) if len(shape) < 2 else math.prod(shape[:-2]) * (shape[-2] + shape[-1])


def new_head(shape: ModelShape, facts: TrainingFacts) -> int:
    """Parameters of a classifier's head, which is new and trained whole."""
    return shape.hidden * (shape.hidden + facts.labels) if facts.labels else 0


def trained_model(run: RunConfig, decided: Decided, facts: TrainingFacts, checkpointing: bool) -> TrainedModel:
    """The base as this training changes it."""
    shape, weights, settings = model_shape(facts.config, facts.weights), facts.weights, decided.method
    method, layers, precision = method_of(run), weights.linear_layers, decided.values.precision
    head = new_head(shape, facts)
    family = families().get(str(facts.config.get("model_type")))
    return TrainedModel(
        shape=shape,
        parameters=weights.parameters + head,
        base=method.base_bytes(weights.parameters + head, layers, settings, precision),
        undivided_base=method.undivided_bytes(layers, settings, precision),
        stored=weights.stored,
        method=method,
        trained=trained_parameters(run, decided, facts),
        optimizer=optimizer_of(decided.values.optimizer),
        adapted=method.inputs(layers, settings) // shape.stored_layers,
        kept=method.kept(layers, settings) // shape.stored_layers,
        precision=precision,
        checkpointing=checkpointing,
        policy=decided.values.gradient_checkpointing_policy,
        processes=run.world.nodes * run.world.processes_per_node,
        strategy=strategy_of(run.strategy),
        distribution=run.strategy,
        undivided=family.undivided if family is not None else 0.0,
    )
