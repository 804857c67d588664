"""What a training process will have: from the spec, the nodes' labels and the administrator's prices."""

from typing import Any

import pytest

from finetune_api.quantity import quantity
from finetune_api.run_config import GpuType, Prices, RunConfig, hardware
from finetune_operator.plan.common.observed import ObservedJob
from finetune_operator.plan.job.launch import missing_children
from finetune_operator.plan.job.view import view_of
from tests.unit.operator.samples import SETTINGS, T, job, spec

GIB = 1 << 30
A100, T4 = GpuType(80 * GIB, "NVIDIA-A100-SXM4-80GB"), GpuType(15 * GIB, "Tesla-T4")
LIMIT, LABEL = "training.resources.limits.memory", "the nodes' label nvidia.com/gpu.memory"


@pytest.mark.parametrize(
    ("training", "nodes", "memory", "says", "product"),
    [
        ({}, (), None, "", ""),
        ({"resources": {"limits": {"memory": "8Gi"}}}, (), 8 * GIB, LIMIT, ""),
        ({"resources": {"requests": {"memory": "8Gi"}}}, (A100,), None, "", ""),
        ({"gpusPerNode": 2}, (), None, "", ""),
        ({"gpusPerNode": 2}, (A100,), 80 * GIB, LABEL, "NVIDIA-A100-SXM4-80GB"),
        ({"gpusPerNode": 2}, (A100, T4, A100), 15 * GIB, LABEL, "Tesla-T4"),
        ({"gpusPerNode": 1, "gpuMemory": "24Gi"}, (), 24 * GIB, "training.gpuMemory", ""),
        ({"gpusPerNode": 1, "gpuMemory": "24Gi"}, (A100,), 24 * GIB, "training.gpuMemory", "NVIDIA-A100-SXM4-80GB"),
        ({"gpusPerNode": 1, "resources": {"limits": {"memory": "8Gi"}}}, (), None, "", ""),
        (
            {"gpusPerNode": 1, "gpuResourceName": "nvidia.com/mig-1g.10gb"},
            (GpuType(10 * GIB, "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb"),),
            10 * GIB,
            "the nodes' label nvidia.com/mig-1g.10gb.memory",
            "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb",
        ),
    ],
)
def test_memory(training: dict[str, Any], nodes: tuple[GpuType, ...], memory: int | None, says: str, product: str) -> None:
    """The user's word, then the smallest GPU that a pod may get; on a CPU the pod's limit. And who says so."""
    found = hardware(spec(training=training), nodes)
    assert (found.memory, found.memory_from, found.gpu_product) == (memory, says, product)


def test_the_oldest_driver_counts() -> None:
    """The training may get any of the nodes; those without a label say nothing."""
    nodes = [GpuType(80 * GIB, "NVIDIA-A100-SXM4-80GB", driver) for driver in (None, 580, 535)]
    assert hardware(spec(training={"gpusPerNode": 1}), nodes).gpu_driver == 535
    assert hardware(spec(training={"gpusPerNode": 1}), nodes[:1]).gpu_driver is None


@pytest.mark.parametrize(
    ("prices", "price"),
    [({}, None), ({"default": 0.0}, None), ({"default": 2.5}, 2.5), ({"default": 2.5, "Tesla-T4": 0.5}, 0.5), ({"Tesla-T4": 0.0}, None)],
)
def test_price(prices: dict[str, float], price: float | None) -> None:
    """The price of the product, or else the default; 0 means unknown, and then there is no currency."""
    found = hardware(spec(training={"gpusPerNode": 4}), (T4,), Prices(prices, "EUR"))
    assert (found.price_per_gpu_hour, found.currency) == (price, "EUR" if price else "")
    assert found.gpus == 4


def test_gpus_of_all_nodes_and_cpus_of_one_pod() -> None:
    """A training without GPUs has no price."""
    wanted = spec(training={"nodes": 3, "gpusPerNode": 8}, workspace={"claimName": "shared"})
    assert hardware(wanted).gpus == 24
    resources = {"limits": {"cpu": "1500m"}, "requests": {"cpu": "1"}}
    found = hardware(spec(training={"resources": resources}), (), Prices({"default": 1.0}))
    assert (found.cpus, found.gpus, found.price_per_gpu_hour) == (1.5, 0, None)
    assert hardware(spec(training={"resources": {"requests": {"cpu": 2}}})).cpus == 2


def test_the_run_config_carries_it() -> None:
    """As it was when the job began: the config map is written once."""
    observed = ObservedJob(job(training={"gpusPerNode": 1}), SETTINGS, gpu_nodes=(A100,))
    assert observed.job.spec is not None
    made = missing_children(view_of(observed, observed.job.spec, observed.job.status, T), "prepare")
    text = next(thing["data"]["run.json"] for thing in made if thing["kind"] == "ConfigMap")
    assert RunConfig.from_json(text).hardware.memory == 80 * GIB


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("16Gi", 16 * GIB), ("1.5Gi", 1.5 * GIB), ("512Mi", 512 * 2**20), ("1G", 10**9), ("500m", 0.5), ("2", 2), (3, 3), ("1e9", 10**9),
        ("1E", 10**18), ("128974848", 128974848), ("", None), ("lots", None), ("1GiB", None),
    ],
)  # fmt: skip
def test_quantities(text: str | int, number: float | None) -> None:
    """As Kubernetes writes them."""
    assert quantity(text) == number


@pytest.mark.parametrize(("offload", "expected"), [(None, None), ("none", None), ("optimizer", 64 << 30)])
def test_memory_of_the_host_is_written_where_something_is_offloaded(offload: str | None, expected: int | None) -> None:
    """An earlier trainer image, which knows no offload, refuses a run config with a field that it does not know."""
    strategy = {"strategy": {"type": "deepspeed", "offload": offload}} if offload else {}
    training = {"gpusPerNode": 2, "resources": {"limits": {"memory": "64Gi"}}} | strategy
    assert hardware(spec(training=training)).host_memory == expected
