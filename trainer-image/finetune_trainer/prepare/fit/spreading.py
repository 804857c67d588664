"""Changes to how a model is spread over processes, for a training that does not fit."""

from dataclasses import replace

from finetune_api.run_config import RunStrategy, RunWorld
from finetune_trainer.optimizers import ADAMW, optimizer_of
from finetune_trainer.prepare.fit.attempt import Attempt, fits, optimized
from finetune_trainer.prepare.fit.strategy import FULL, OFFLOADING, host_memory, using
from finetune_trainer.strategies import obstacle_of, strategy_of

GPUS_PER_NODE, LARGEST_WORLD = 8, 64
"""What is proposed at most."""


def sharded(of: Attempt) -> Attempt | None:
    """Less of the model on each process than the user wanted: the first strategy that fits, None where none does."""
    given, world = of.run.strategy, of.run.world
    if given == FULL:
        return None
    divided = [given.model_copy(update={"zero_stage": stage}) for stage in range((given.zero_stage or 3) + 1, 4)]
    whole = [FULL]
    if world.nodes * world.processes_per_node == 1:
        divided, whole = [], []
    attempts = [spread(of, settings) for settings in [*divided, *offloaded(of), *whole] if not obstacle_of(strategy_of(settings), of.run)]
    return next((attempt for attempt in attempts if fits(attempt, of.run.hardware.memory or 0) is not None), None)


def offloaded(of: Attempt) -> list[RunStrategy]:
    """Less of the model on the GPUs, for those who use ZeRO; as far as is known, the host has room for it."""
    given = of.run.strategy
    if not given.zero_stage or not of.run.hardware.gpus:
        return []
    more = ("optimizer", "parameters")[("none", "optimizer", "parameters").index(given.offload) :]
    stages = {offload: max(given.zero_stage, min(OFFLOADING[offload])) for offload in more}
    changes = [given.model_copy(update={"offload": offload, "zero_stage": stage}) for offload, stage in stages.items()]
    limit = of.run.hardware.host_memory
    return [one for one in changes if limit is None or host_memory(using(of.run, one), of.decided, of.facts) <= limit]


def spread(of: Attempt, settings: RunStrategy) -> Attempt:
    """With another strategy."""
    words, param = strategy_in_words(settings, of.run.strategy)
    return replace(of, words=words, param=param, run=using(of.run, settings))


def strategy_in_words(settings: RunStrategy, before: RunStrategy) -> tuple[str, str]:
    """What to set, and the field to begin with. A setting of another type must go."""
    name = "training.strategy"
    if settings.type != before.type and (before.zero_stage or before.sharding or before.tensor_parallel_size or before.offload != "none"):
        return f"{name}: {{type: {settings.type}}}", name
    if settings.offload not in ("none", before.offload):
        if settings.zero_stage != before.zero_stage:
            return f"{name}: {{type: {settings.type}, offload: {settings.offload}, zeroStage: {settings.zero_stage}}}", name
        return f"{name}.offload: {settings.offload}", f"{name}.offload"
    if settings.type != before.type or settings == before:
        return f"{name}.type: {settings.type}", f"{name}.type"
    field, value = ("zeroStage", settings.zero_stage) if settings.zero_stage else ("sharding", settings.sharding)
    return f"{name}.{field}: {value}", f"{name}.{field}"


def with_adamw(of: Attempt) -> Attempt | None:
    """A part of the model on each process, where nothing but the optimizer is in the way of that."""
    world, other = of.run.world, optimized(of, ADAMW.name)
    if world.nodes * world.processes_per_node == 1 or optimizer_of(of.decided.values.optimizer).divisible:
        return None
    if obstacle_of(strategy_of(FULL), other.run):
        return None
    words, _ = strategy_in_words(FULL, of.run.strategy)
    return replace(other, words=f"{other.words} with {words}", run=using(other.run, FULL))


def with_more_gpus(of: Attempt) -> Attempt | None:
    """Twice, four times, ... as many, each with a part of the model; None where not even the largest number helps."""
    world = of.run.world
    per_node = [world.processes_per_node << power for power in range(1, 7) if world.processes_per_node << power <= GPUS_PER_NODE]
    nodes = [world.nodes << power for power in range(1, 7)]
    most = per_node[-1] if per_node else world.processes_per_node
    worlds = [(world.nodes, count) for count in per_node] + [(count, most) for count in nodes]
    attempts = (on(of, *counts) for counts in worlds if counts[0] * counts[1] <= LARGEST_WORLD)
    available = of.run.hardware.memory or 0
    if not of.run.hardware.gpus or obstacle_of(strategy_of(FULL), of.run):
        return None
    return next((attempt for attempt in attempts if fits(attempt, available) is not None), None)


def on(of: Attempt, nodes: int, per_node: int) -> Attempt:
    """Sharded over other numbers of nodes and GPUs."""
    world = of.run.world
    counts = {"training.nodes": (nodes, world.nodes), "training.gpusPerNode": (per_node, world.processes_per_node)}
    changed = {name: count for name, (count, before) in counts.items() if count != before}
    strategy, _ = strategy_in_words(FULL, of.run.strategy)
    words = ", ".join(f"{name}: {count}" for name, count in changed.items()) + f" with {strategy}"
    other = RunWorld(nodes=nodes, processes_per_node=per_node)
    hardware = of.run.hardware.model_copy(update={"gpus": nodes * per_node})
    run = using(of.run, FULL).model_copy(update={"world": other, "hardware": hardware})
    return replace(of, words=words, param=next(iter(changed)), run=run)
