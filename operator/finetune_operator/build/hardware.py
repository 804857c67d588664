"""What a training process will have, as far as the spec, the nodes' labels and the administrator's prices say."""

from collections.abc import Sequence

from finetune_api.resources.finetune_job import FineTuneJobSpec
from finetune_api.run_config import RunHardware
from finetune_operator.build.quantity import quantity
from finetune_operator.configuration import Settings
from finetune_operator.records import GpuNode

MEMORY_LIMIT = "training.resources.limits.memory"


def hardware(spec: FineTuneJobSpec, nodes: Sequence[GpuNode], settings: Settings) -> RunHardware:
    """`nodes` are those that the training's pods may run on and that say what GPUs they have; none where nothing is known."""
    training = spec.training
    if not training.gpus_per_node:
        memory, cpus = _of(training.resources.limits, "memory"), _cpus(spec)
        return RunHardware(memory=_whole(memory), memory_from=MEMORY_LIMIT if memory else "", cpus=cpus)
    smallest = min(nodes, key=lambda node: node.memory, default=None)
    given = quantity(training.gpu_memory) if training.gpu_memory is not None else None
    label = f"the nodes' label {training.gpu_resource_name}.memory" if smallest else ""
    product = smallest.product if smallest else ""
    price = settings.prices.get(product) or settings.prices.get("default") or None
    return RunHardware(
        memory=_whole(given) if given else smallest.memory if smallest else None,
        memory_from="training.gpuMemory" if given else label,
        gpus=training.nodes * training.gpus_per_node,
        gpu_product=product,
        cpus=_cpus(spec),
        price_per_gpu_hour=price,
        currency=settings.currency if price else "",
    )


def _cpus(spec: FineTuneJobSpec) -> float | None:
    resources = spec.training.resources
    return _of(resources.limits, "cpu") or _of(resources.requests, "cpu")


def _of(amounts: dict[str, str | int], name: str) -> float | None:
    return quantity(amounts[name]) if name in amounts else None


def _whole(amount: float | None) -> int | None:
    return int(amount) if amount else None
