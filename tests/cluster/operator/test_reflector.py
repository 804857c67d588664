"""The reflector against a real API server: objects that were deleted while it was disconnected are removed."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from finetune_operator.client.api import Api
from finetune_operator.client.connection import connect
from finetune_operator.client.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound
from finetune_operator.listen.reflector import Reflector
from finetune_operator.listen.watches import Watches
from finetune_operator.objects.cache import Cache, Key, Keys
from finetune_operator.objects.records import FineTuneJob, Presence
from finetune_operator.objects.resources import CONFIG_MAPS, FINETUNE_JOBS
from tests.cluster.control_plane import ControlPlane
from tests.cluster.objects import job
from tests.cluster.operator.simulation import Object, Space

pytestmark = pytest.mark.cluster

LABELS = {"app.kubernetes.io/managed-by": "finetune-operator", "finetune.dev/job": "tune"}


@pytest.fixture
async def requests(plane: ControlPlane) -> AsyncIterator[Api]:
    """Requests with the rights of the administrator."""
    async with Api(await connect(str(plane.kubeconfig))) as api:
        yield api
    await asyncio.sleep(0.5)  # TLS connections are closed in the background, which a session does not wait for


async def test_a_list_removes_deleted_objects(space: Space, requests: Api) -> None:
    """Objects deleted between two lists are gone from the cache, and their owners are woken."""
    woken: Keys = set()
    cache = Cache()
    reflector = Reflector(requests, FINETUNE_JOBS, space.name, cache, woken.update, Watches())
    space.apply(job(space.name, "one"), job(space.name, "two"))
    await reflector.list()
    space.kubectl("delete", "finetunejob", "one")
    woken.clear()
    await reflector.list()
    assert [found.meta.name for found in cache.all(FineTuneJob)] == ["two"]
    assert Key("FineTuneJob", space.name, "one") in woken


async def test_a_watch_follows_and_finds_its_place_again(space: Space, requests: Api) -> None:
    """New and deleted objects arrive without their content; the API server's restart in between does no harm."""
    cache = Cache()
    changed = asyncio.Event()
    reflector = Reflector(requests, CONFIG_MAPS, space.name, cache, lambda keys: changed.set() if keys else None, Watches())
    await reflector.list()
    watch = asyncio.create_task(reflector.watch())

    async def until(names: list[str]) -> None:
        async with asyncio.timeout(40):
            while sorted(found.meta.name for found in cache.all(Presence)) != names:
                changed.clear()
                await changed.wait()

    space.apply(config_map(space, "first"))
    await until(["first"])
    await asyncio.to_thread(space.plane.script, "restart", "apiserver")
    space.apply(config_map(space, "second"))
    space.kubectl("delete", "configmap", "first")
    await until(["second"])
    watch.cancel()
    await asyncio.wait([watch])  # its connection is open until then


async def test_errors_have_types(space: Space, requests: Api) -> None:
    """Callers handle them by type, and the message names the request."""
    space.apply(job(space.name, "one"))
    there = await requests.get(FINETUNE_JOBS.path(space.name, "one"))
    with pytest.raises(NotFound, match=r"GET /apis/finetune.dev/v1alpha1/namespaces/.*/finetunejobs/none"):
        await requests.get(FINETUNE_JOBS.path(space.name, "none"))
    with pytest.raises(AlreadyExists):
        await requests.create(job(space.name, "one"))
    with pytest.raises(Invalid, match=r"metadata\.name"):
        await requests.create(job(space.name, "1" * 60))
    with pytest.raises(Forbidden, match="because it is being terminated"):
        await requests.create(job(await terminating(space), "one"))
    stale = {"metadata": {"uid": there["metadata"]["uid"], "resourceVersion": "1"}, "status": {"phase": "Pending"}}
    with pytest.raises(Conflict):
        await requests.patch_status(FINETUNE_JOBS, space.name, "one", stale)
    with pytest.raises(Conflict):
        await requests.delete(FINETUNE_JOBS, space.name, "one", uid="another")
    assert space.get("finetunejob", "one")


async def terminating(space: Space) -> str:
    """A namespace that is going, and stays so for the finalizer of an object in it."""
    name = f"{space.name}-going"
    space.kubectl("create", "namespace", name)
    going = Space(space.plane, name)
    held = config_map(going, "held")
    held["metadata"]["finalizers"] = ["test.finetune.dev/held"]
    going.apply(held)
    going.kubectl("delete", "namespace", name, "--wait=false")
    return name


def config_map(space: Space, name: str) -> Object:
    """One of ours."""
    metadata = {"name": name, "namespace": space.name, "labels": LABELS}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}}
