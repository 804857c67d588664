"""Reads on demand: seldom, and never a failure."""

from collections.abc import Mapping
from typing import Any

import pytest

from finetune_api.run_config import GpuType
from finetune_operator.client.errors import Forbidden, NotFound, ServerGone
from finetune_operator.objects.resources import SERVICES
from finetune_operator.observe.reads import Reads
from tests.unit.operator import raw

pytestmark = pytest.mark.unit


class Answers:
    """Stands in for the request layer: answers with the next of `answers`, or raises it."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.paths: list[str] = []
        self.asked: list[tuple[str, Mapping[str, str] | None]] = []

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        self.paths.append(path)
        self.asked.append((path, params))
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


class Clock:
    """A clock that the test advances."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def reads(*answers: Any) -> tuple[Reads, Answers, Clock]:
    api, clock = Answers(*answers), Clock()
    return Reads(api, clock), api, clock  # type: ignore[arg-type]


async def test_a_claim_is_absent_only_when_the_server_says_so() -> None:
    """Not when it does not answer."""
    claim = {"metadata": raw.metadata("c"), "spec": {"accessModes": ["ReadWriteMany"]}, "status": {"phase": "Bound"}}
    found, _, clock = reads(ServerGone("GET /x", 0), NotFound("GET /x", 404), claim)
    assert (await found.claim("a", "c"), await found.claim_absent("a", "c")) == (None, False)
    clock.now += 5
    assert (await found.claim("a", "c"), await found.claim_absent("a", "c")) == (None, True)
    clock.now += 5
    there = await found.claim("a", "c")
    assert there
    assert (there.access_modes, await found.claim_absent("a", "c")) == (("ReadWriteMany",), False)


async def test_whose_an_object_is() -> None:
    """Metadata of the object with that name, whoever owns it; None if there is none."""
    found, _, clock = reads({"metadata": raw.metadata("s", ownerReferences=[{"uid": "somebody"}])}, NotFound("GET /x", 404))
    there = await found.existing(SERVICES, "a", "s")
    assert there
    assert there.owners == {"somebody"}
    clock.now += 5
    assert await found.existing(SERVICES, "a", "s") is None


def node(memory: str = "81559", allocatable: str = "8", **labels: str) -> dict[str, Any]:
    """A Node with GPUs, as GPU Feature Discovery labels it."""
    named = {"nvidia.com/gpu.memory": memory, "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB", **labels}
    return {"metadata": {"name": "n", "labels": named}, "status": {"allocatable": {"nvidia.com/gpu": allocatable}}}


async def test_nodes_are_read_by_their_labels() -> None:
    """Only those that the pod's node selector chooses and that have a GPU to give; at most every five minutes."""
    items = [
        node(**{"nvidia.com/cuda.driver.major": "580"}),
        node(allocatable="0"),
        node(memory="lots"),
        node(memory="0"),
        node(memory="16384"),
    ]
    found, api, clock = reads({"items": items}, {"items": []})
    nodes = await found.gpu_nodes("nvidia.com/gpu", {"zone": "a", "pool": "gpu"})
    assert nodes == (GpuType(81559 << 20, "NVIDIA-A100-SXM4-80GB", 580), GpuType(16 << 30, "NVIDIA-A100-SXM4-80GB"))
    assert await found.gpu_nodes("nvidia.com/gpu", {"pool": "gpu", "zone": "a"}) == nodes
    assert api.asked == [("/api/v1/nodes", {"labelSelector": "nvidia.com/gpu.memory,pool=gpu,zone=a", "limit": "500"})]
    clock.now += 300
    assert await found.gpu_nodes("nvidia.com/gpu", {"zone": "a", "pool": "gpu"}) == ()


async def test_nodes_that_may_not_be_read_are_not_known() -> None:
    """An operator with watchNamespaces has no permission; the plan works without."""
    found, _, _ = reads(Forbidden("nodes is forbidden", 403))
    assert await found.gpu_nodes("nvidia.com/gpu", {}) == ()
