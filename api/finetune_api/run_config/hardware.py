"""What a training process will have, as far as the spec, the nodes' labels and the administrator's prices say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from finetune_api.quantity import quantity
from finetune_api.resources.common import Resources
from finetune_api.resources.finetune_job import FineTuneJobSpec
from finetune_api.run_config.contract import RunHardware

MEMORY_LIMIT = "training.resources.limits.memory"
BURST = 2
"""Threads for each core of a request without a limit: waiting threads sleep, so that on a busy node they cost little."""


@dataclass(frozen=True, slots=True)
class GpuType:
    """What is known of the GPUs that the training may run on."""

    memory: int
    """Bytes of one of them."""
    product: str = ""
    """As the node label nvidia.com/gpu.product has it."""
    driver: int | None = None
    """Major version of the NVIDIA driver, where a label has it."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Of a GPU hour."""

    per_hour: Mapping[str, float] = field(default_factory=dict)
    """By product, and "default"; 0 is unknown."""
    currency: str = ""

    def of(self, product: str) -> float | None:
        """None where it is unknown."""
        return self.per_hour.get(product) or self.per_hour.get("default") or None


def hardware(spec: FineTuneJobSpec, gpus: Sequence[GpuType] = (), prices: Prices | None = None) -> RunHardware:
    """`gpus` are those that the training's pods may get, and the smallest counts; empty where nothing is known of them."""
    training = spec.training
    cores = cpus(training.resources)
    if not training.gpus_per_node:
        memory = _of(training.resources.limits, "memory")
        return RunHardware(memory=_whole(memory), memory_from=MEMORY_LIMIT if memory else "", cpus=cores)
    gpu = min(gpus, key=lambda gpu: gpu.memory, default=None)
    given = quantity(training.gpu_memory) if training.gpu_memory is not None else None
    label = f"the nodes' label {training.gpu_resource_name}.memory" if gpu else ""
    product = gpu.product if gpu else ""
    price = prices.of(product) if prices else None
    return RunHardware(
        memory=_whole(given) if given else gpu.memory if gpu else None,
        memory_from="training.gpuMemory" if given else label,
        gpus=training.nodes * training.gpus_per_node,
        host_memory=_whole(_of(training.resources.limits, "memory")) if offloads(spec) else None,
        gpu_product=product,
        gpu_driver=min((gpu.driver for gpu in gpus if gpu.driver is not None), default=None),
        cpus=cores,
        price_per_gpu_hour=price,
        currency=prices.currency if prices and price else "",
    )


def offloads(spec: FineTuneJobSpec) -> bool:
    """Whether the host's memory matters: an earlier trainer image refuses a field that it does not know, and knows no offload either."""
    return spec.training.strategy is not None and spec.training.strategy.offload != "none"


def cpus(resources: Resources) -> float | None:
    """Cores that a container with these resources may count on; None where they say nothing."""
    return _of(resources.limits, "cpu") or _of(resources.requests, "cpu")


def usable_cpus(resources: Resources) -> float | None:
    """Cores that such a container may use: without a limit it may have more than its request, where the node can spare it."""
    request = _of(resources.requests, "cpu")
    return _of(resources.limits, "cpu") or (BURST * request if request else None)


def _of(amounts: dict[str, str | int], name: str) -> float | None:
    return quantity(amounts[name]) if name in amounts else None


def _whole(amount: float | None) -> int | None:
    return int(amount) if amount else None
