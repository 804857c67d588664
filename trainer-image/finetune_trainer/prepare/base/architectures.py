"""Whether a job can start from a model of this family, and in what way: the table of families, asked before anything is trained."""

from typing import Any

from finetune_api.run_config import RunConfig
from finetune_trainer.artifacts import wanted_artifacts
from finetune_trainer.artifacts.exporter import BaseFacts
from finetune_trainer.failure import invalid
from finetune_trainer.families import Family, families
from finetune_trainer.methods import METHODS, method_of
from finetune_trainer.optimizers import optimizer_of
from finetune_trainer.prepare.base.files import unsupported
from finetune_trainer.sources.subject import Subject
from finetune_trainer.strategies import STRATEGIES, obstacle_of
from finetune_trainer.strategies.tensor_parallel import TENSOR_PARALLEL, default_size
from finetune_trainer.tasks import TASKS, AnyTask, find_task

LISTED = "docs/models.md lists the model types that can be fine-tuned"
ENCODERS = "bert, roberta, deberta-v2, modernbert or xlm-roberta"
WITHOUT_CHECKPOINTING = ("Albert", "CpmAnt", "GPTNeoXJapanese", "JetMoe", "MPNet")
"""Families whose classes in transformers have supports_gradient_checkpointing False."""


def check_family(config: dict[str, Any], architecture: str, subject: Subject, run: RunConfig) -> None:
    """Raises StageFailure for a model that, by its config.json, does not fit the job's task, method or export."""
    family = families().get(str(config.get("model_type")))
    if family is None:
        raise unsupported(subject, f"is a {architecture} of model type {config.get('model_type')!r}, which is not known to work: {LISTED}")
    check_learner(family, architecture, subject, find_task(run.task))
    if not family.has(architecture):
        raise unsupported(subject, f"is a {architecture}: of model type {family.model_type}, only {classes(family)} can be used")
    check_method(family, architecture, subject, run)
    check_strategy(run)
    if run.strategy.type == TENSOR_PARALLEL.name:
        check_division(family, config, subject, run)
    for artifact in wanted_artifacts(run):
        artifact.check(run, BaseFacts(subject.name, architecture, family.model_type))


def check_learner(family: Family, architecture: str, subject: Subject, task: AnyTask) -> None:
    """A language model for texts, an encoder for labels."""
    if family.kind == "other":
        raise unsupported(subject, f"is a {architecture} of model type {family.model_type}, which cannot be used: {family.unfit}")
    if task.learner != "language" and family.kind != "encoder":
        raise unsupported(
            subject, f"is a {architecture}, a causal language model: task {task.name} needs an encoder, such as {ENCODERS}. {LISTED}"
        )
    if task.learner == "language" and family.kind != "language":
        serves = ", ".join(name for name, other in TASKS.items() if other.learner != "language")
        raise unsupported(
            subject, f"is a {architecture}, an encoder, which serves {serves}; task {task.name} needs a causal language model"
        )


def check_method(family: Family, architecture: str, subject: Subject, run: RunConfig) -> None:
    """Raises StageFailure where the family cannot be trained by the job's method, with the one that works."""
    reason = method_of(run).obstacle(family)
    if not reason:
        return
    if not family.trainable:
        raise unsupported(subject, f"is a {architecture}, which cannot be fine-tuned: {reason}. {LISTED}")
    other = next(name for name, method in METHODS.items() if not method.obstacle(family))
    raise invalid(
        "MethodUnsupported",
        f"{subject.name} is a {architecture}, which method.type {run.method.type} cannot train: {reason}. Set method.type: {other}",
        param="method.type",
    )


def check_strategy(run: RunConfig) -> None:
    """Raises StageFailure where the strategy cannot train the job's task by its method and optimizer, with those that can."""
    given, method, optimizer = run.strategy.type, method_of(run), optimizer_of(run.hyperparameters.optimizer)
    if given in STRATEGIES and (reason := obstacle_of(STRATEGIES[given], run)):
        others = " or ".join(name for name, strategy in STRATEGIES.items() if not obstacle_of(strategy, run))
        raise invalid(
            "StrategyUnsupported",
            f"training.strategy.type {given} cannot train task {run.task} with method.type {method.name} and hyperparameters.optimizer "
            f"{optimizer.name}: {reason}. Set training.strategy.type: {others}",
            param="training.strategy.type",
        )


def check_division(family: Family, config: dict[str, Any], subject: Subject, run: RunConfig) -> None:
    """Raises StageFailure where the processes cannot divide the layers of the base among themselves."""
    if family.tensor_parallel:
        raise invalid(
            "StrategyUnsupported",
            f"training.strategy.type {run.strategy.type} cannot train {subject.name}, of model type {family.model_type}: "
            f"{family.tensor_parallel}. Set training.strategy.type: fsdp",
            param="training.strategy.type",
        )
    processes, heads = run.world.nodes * run.world.processes_per_node, head_counts(config)
    possible = [size for size in range(1, processes + 1) if not any(count % size for count in (processes, *(count for _, count in heads)))]
    size = run.strategy.tensor_parallel_size or default_size(run.world)
    if size not in possible:
        counted = ", ".join(f"{name} {count}" for name, count in heads)
        raise invalid(
            "InvalidStrategy",
            f"training.strategy.tensorParallelSize is {size}, and it must divide the {processes} processes (training.nodes x "
            f"training.gpusPerNode) and the heads of {subject.name} ({counted}): {working_sizes(possible)}, or set "
            "training.strategy.type: fsdp",
            param="training.strategy.tensorParallelSize",
        )


def head_counts(config: dict[str, Any]) -> list[tuple[str, int]]:
    """All numbers of heads in a config.json, with their keys; some families have a list of them, one for each layer."""
    inner = config.get("text_config")
    said: dict[str, Any] = inner if isinstance(inner, dict) else config
    named = {name: value for name, value in said.items() if "_heads" in name or name.endswith("n_head")}
    found = ((name, count) for name, value in named.items() for count in (value if isinstance(value, list) else [value]))
    return list(dict.fromkeys((name, count) for name, count in found if type(count) is int and count > 0))


def working_sizes(sizes: list[int]) -> str:
    """Those that divide something."""
    useful = [str(size) for size in sizes if size > 1]
    return f"set {' or '.join(useful)}" if useful else "no size does; change the number of processes"


def classes(family: Family) -> str:
    """The names that config.json may have in "architectures"."""
    return family.name if family.kind == "language" else f"{family.name}Model, {family.name}ForMaskedLM and its classifiers"


def can_recompute(config: dict[str, Any]) -> bool:
    """False if, by its config.json, the model does not support gradient checkpointing."""
    return not any(str(name).startswith(WITHOUT_CHECKPOINTING) for name in config.get("architectures") or ())


def check_checkpointing(config: dict[str, Any], subject: Subject, *, wanted: bool) -> None:
    """Raises StageFailure where gradient checkpointing is wanted of a model that does not know it."""
    if wanted and not can_recompute(config):
        raise invalid(
            "GradientCheckpointingUnsupported",
            f"hyperparameters.gradientCheckpointing is true, but {subject.name} is a {config['architectures'][0]}, which does not support "
            "gradient checkpointing: leave gradientCheckpointing out, and lower maxSequenceLength where memory is short",
            param="hyperparameters.gradientCheckpointing",
        )
