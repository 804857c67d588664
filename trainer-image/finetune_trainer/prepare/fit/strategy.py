"""The strategy of a run: as given, or the first one with which the training fits, the fastest first."""

from finetune_api.exit_codes import ExitCode
from finetune_api.result import ResolvedParameter
from finetune_api.run_config import RunConfig, RunStrategy
from finetune_trainer.failure import StageFailure, invalid
from finetune_trainer.prepare.disk_space import readable
from finetune_trainer.prepare.fit.choice import TrainingFacts, choose, trained_model
from finetune_trainer.prepare.fit.memory import state_bytes
from finetune_trainer.prepare.hyperparameters import AS_GIVEN, Decided
from finetune_trainer.strategies import obstacle_of, strategy_of
from finetune_trainer.strategies.tensor_parallel import TENSOR_PARALLEL, default_size
from finetune_trainer.workspace.prepared import HEADROOM

AUTO = "auto"
FIRST = {
    "ddp": "every process can hold the whole model",
    "fsdp": "every process can hold all weights during a step",
    "deepspeed": "every process can hold all weights and gradients",
}
"""Why the first candidate is enough, by its strategy."""
DDP, GRAD, FULL = RunStrategy(type="ddp"), RunStrategy(type="fsdp", sharding="grad"), RunStrategy(type="fsdp", sharding="full")
STAGES = [RunStrategy(type="deepspeed", zero_stage=stage) for stage in (1, 2, 3)]
SETTINGS = {"fsdp": [GRAD, FULL], "deepspeed": STAGES}
"""Of strategies that have some: what is gathered more often needs less memory and more time."""
OFFLOADING = {"none": (1, 2, 3), "optimizer": (2, 3), "parameters": (3,)}
"""Stages that divide what is moved to the host."""
HOST_PROCESS = 1 << 30
"""Bytes that a process takes beside that: libraries, buffers."""
SMALL_GPU = 24 << 30
"""Bytes. If the memory is unknown, a copy of a larger model on each rank is not tried."""

Reasons = dict[str, ResolvedParameter]


def with_strategy(run: RunConfig, decided: Decided, facts: TrainingFacts) -> tuple[RunConfig, Reasons]:
    """The run with a strategy that has no open setting, and why it is that one."""
    given = run.strategy
    if given.type != AUTO:
        strategy_of(given)
    refuse_other_settings(given)
    refuse_offload(run)
    settings, why = automatic(run, decided, facts) if given.type == AUTO or given.type in SETTINGS else (with_size(run), "")
    reasons = {"strategy": ResolvedParameter(value=settings.type, reason=why if given.type == AUTO else AS_GIVEN)}
    if settings.sharding:
        reasons["strategy.sharding"] = ResolvedParameter(value=settings.sharding, reason=AS_GIVEN if given.sharding else why)
    if settings.zero_stage:
        reasons["strategy.zeroStage"] = ResolvedParameter(value=settings.zero_stage, reason=AS_GIVEN if given.zero_stage else why)
    if settings.tensor_parallel_size:
        together = AS_GIVEN if given.tensor_parallel_size else "the processes of a node, or all if a node has one"
        reasons["strategy.tensorParallelSize"] = ResolvedParameter(value=settings.tensor_parallel_size, reason=together)
    if settings.offload != "none":
        host = host_memory(using(run, settings), decided, facts)
        why = f"{AS_GIVEN}: at least {readable(host)} of host memory in each pod"
        reasons["strategy.offload"] = ResolvedParameter(value=settings.offload, reason=why)
        check_host_memory(run, host)
    return using(run, settings), reasons


def with_size(run: RunConfig) -> RunStrategy:
    """The strategy as given; tensor-parallel with its size."""
    given = run.strategy
    if given.type != TENSOR_PARALLEL.name or given.tensor_parallel_size:
        return given
    return given.model_copy(update={"tensor_parallel_size": default_size(run.world)})


def refuse_other_settings(given: RunStrategy) -> None:
    """Raises StageFailure for a setting of another strategy, which would be ignored."""
    settings = (
        ("sharding", given.sharding, "fsdp"),
        ("zeroStage", given.zero_stage, "deepspeed"),
        ("tensorParallelSize", given.tensor_parallel_size, TENSOR_PARALLEL.name),
        ("offload", None if given.offload == "none" else given.offload, "deepspeed"),
    )
    for name, value, owner in settings:
        if value is not None and given.type != owner:
            field = f"training.strategy.{name}"
            raise invalid(
                "InvalidStrategy",
                f"{field}: {value} is a setting of strategy {owner}, and the strategy is {given.type}: remove it",
                param=field,
            )


def refuse_offload(run: RunConfig) -> None:
    """Raises StageFailure for an offload from no GPU, or of what a stage does not divide."""
    given, stages = run.strategy, OFFLOADING[run.strategy.offload]
    if given.offload == "none":
        return
    reason = "" if run.hardware.gpus else "moves what a GPU would hold, and the training has no GPUs: remove it"
    if given.zero_stage not in (None, *stages):
        reason = f"needs zeroStage {' or '.join(map(str, stages))}, and training.strategy.zeroStage is {given.zero_stage}"
    if reason:
        raise invalid("InvalidStrategy", f"training.strategy.offload: {given.offload} {reason}", param="training.strategy.offload")


def host_memory(run: RunConfig, decided: Decided, facts: TrainingFacts) -> int:
    """Bytes that the processes of a pod take of the host at least: each loads the whole model before it is divided, with pages of its own
    where the files have another precision."""
    model = trained_model(run, decided, facts, checkpointing=False)
    loaded = model.base if model.base > model.stored else 0
    return run.world.processes_per_node * (max(state_bytes(model).host, loaded) + HOST_PROCESS)


def check_host_memory(run: RunConfig, need: int) -> None:
    """Raises StageFailure if the limit of a pod is below what offload takes."""
    limit = run.hardware.host_memory
    if limit is not None and need > limit:
        raise StageFailure(
            ExitCode.DOES_NOT_FIT,
            "DoesNotFit",
            f"training.strategy.offload: {run.strategy.offload} needs at least {readable(need)} of host memory in each pod, and "
            f"training.resources.limits.memory is {readable(limit)}: raise the limit, or remove offload",
            param="training.resources.limits.memory",
        )


def automatic(run: RunConfig, decided: Decided, facts: TrainingFacts) -> tuple[RunStrategy, str]:
    """The first candidate that fits with some room, else that fits at all, else the one that needs least."""
    processes, available = run.world.nodes * run.world.processes_per_node, run.hardware.memory
    found = candidates(run)
    if DDP in found and processes == 1:
        return DDP, "there is one process"
    if available is None:
        return untold(run, decided, facts)
    needs = [choose(using(run, settings), decided, facts).need.total for settings in found]
    fitting = (place for room in (HEADROOM, 1.0) for place, need in enumerate(needs) if need <= room * available)
    if (place := next(fitting, None)) is None:
        place = needs.index(min(needs))
    return found[place], reason(found, needs, place)


def candidates(run: RunConfig) -> list[RunStrategy]:
    """Those that the spec leaves open and that can train with the run's method and optimizer, the fastest first: what is gathered once
    more costs time."""
    given = run.strategy
    settings = [DDP, GRAD, FULL] if given.type == AUTO else SETTINGS[given.type]
    left_open = [one for one in settings if given.sharding in (None, one.sharding) and given.zero_stage in (None, one.zero_stage)]
    moving = [one.model_copy(update={"offload": given.offload}) for one in left_open if (one.zero_stage or 1) in OFFLOADING[given.offload]]
    return [one for one in moving if not obstacle_of(strategy_of(one), run)]


def untold(run: RunConfig, decided: Decided, facts: TrainingFacts) -> tuple[RunStrategy, str]:
    """If the memory is unknown."""
    state = state_bytes(trained_model(using(run, DDP), decided, facts, checkpointing=False))
    copy = state.weights + state.gradients + state.optimizer
    why = f"the available memory is unknown, and weights, gradients and optimizer of the whole model take {readable(copy)}"
    found = candidates(run)
    return found[0] if copy <= SMALL_GPU else found[-1], why


def reason(found: list[RunStrategy], needs: list[int], place: int) -> str:
    """Why a candidate was taken."""
    if place == 0:
        return FIRST[found[0].type]
    larger = ", ".join(f"{shown(settings)} would need {readable(need)}" for settings, need in zip(found[:place], needs, strict=False))
    return f"{larger} of memory on each process, {shown(found[place])} needs {readable(needs[place])}"


def shown(settings: RunStrategy) -> str:
    """ "fsdp with sharding full"."""
    if settings.zero_stage:
        return f"{settings.type} with zeroStage {settings.zero_stage}"
    return f"{settings.type} with sharding {settings.sharding}" if settings.sharding else settings.type


def using(run: RunConfig, settings: RunStrategy) -> RunConfig:
    """The run with another strategy."""
    return run.model_copy(update={"strategy": settings})
