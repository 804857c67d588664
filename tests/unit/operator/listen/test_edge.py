"""The edge against a server of the watch protocol: after any failure of a watch, later changes are seen."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import Configuration

from finetune_operator.client.connection import Connection
from finetune_operator.listen import edge as edge_module
from finetune_operator.listen.edge import Edge
from finetune_operator.listen.watches import Watches
from finetune_operator.objects.resources import FINETUNE_JOBS, OURS, Resource
from tests.unit.operator.watch_server import WatchServer, until

pytestmark = pytest.mark.unit


@dataclass
class Seen:
    """Records the calls of the edge."""

    server: WatchServer
    watches: Watches
    url: str
    names: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    relists: int = 0
    refuses: str = ""
    """Name of an object at which it fails."""

    def __call__(self, resource: Resource, raw: dict[str, Any], deleted: bool) -> None:
        if raw["metadata"]["name"] == self.refuses:
            raise KeyError("odd")
        (self.deleted if deleted else self.names).append(raw["metadata"]["name"])

    async def relist(self) -> None:
        """As the operator does it: until all of our kinds are there."""
        await until(lambda: not self.server.absent)
        self.relists += 1

    @property
    def alive(self) -> bool:
        """All three watches are connected."""
        return not self.watches.dead(-1) and all(self.server.watches[ours.plural] for ours in OURS)


@pytest.fixture
async def server() -> AsyncIterator[tuple[WatchServer, str]]:
    state = WatchServer()
    async with TestServer(state.app()) as running:
        yield state, str(running.make_url("")).rstrip("/")
        for ours in OURS:
            state.close(ours)


@contextlib.asynccontextmanager
async def running_edge(server: tuple[WatchServer, str]) -> AsyncIterator[tuple[Seen, "asyncio.Task[None]"]]:
    seen = Seen(server[0], Watches(), server[1])
    edge = Edge(Connection(Configuration(host=seen.url), False), seen, seen.relist, seen.watches)
    edge.serve(None)
    task = asyncio.create_task(edge.run())
    try:
        await until(lambda: seen.alive or task.done())
        yield seen, task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, RuntimeError):
            await task


DEATHS: dict[str, Callable[[WatchServer], None]] = {
    "ERROR 500": lambda server: server.fail(FINETUNE_JOBS, 500),
    "ERROR 404": lambda server: server.fail(FINETUNE_JOBS, 404),
    "ERROR 410": lambda server: server.fail(FINETUNE_JOBS, 410),
    "no JSON": lambda server: server.say(FINETUNE_JOBS, b'{"type": "ADDED", "obj\n'),
    "no object": lambda server: server.say(FINETUNE_JOBS, b'{"type": "ADDED", "object": {}}\n'),
    "closed": lambda server: server.close(FINETUNE_JOBS),
}


@pytest.mark.parametrize("death", DEATHS)
async def test_a_watch_dies_and_what_comes_after_is_seen(server: tuple[WatchServer, str], death: str) -> None:
    """Without a restart of the process; what the server deleted unseen is asked for by a relist, but after a mere reconnect."""
    state, _ = server
    async with running_edge(server) as (seen, task):
        state.put(FINETUNE_JOBS, "before")
        await until(lambda: "before" in seen.names)
        DEATHS[death](state)
        await until(lambda: death == "closed" or seen.relists > 0)
        await until(lambda: seen.alive)
        state.put(FINETUNE_JOBS, "after")
        await until(lambda: "after" in seen.names)
        state.delete(FINETUNE_JOBS, "after")
        await until(lambda: seen.deleted == ["after"])
        assert not task.done()
        assert seen.relists == (0 if death == "closed" else 1)


async def test_a_definition_goes_and_comes(server: tuple[WatchServer, str]) -> None:
    """While it is away a watch is down, and nothing watches in its stead; objects made afterwards are seen."""
    state, _ = server
    async with running_edge(server) as (seen, task):
        state.undefine(FINETUNE_JOBS)
        await until(lambda: seen.watches.dead(-1))
        await asyncio.sleep(0.5)
        assert seen.watches.dead(-1)
        state.define(FINETUNE_JOBS)
        await until(lambda: seen.alive)
        state.put(FINETUNE_JOBS, "after")
        await until(lambda: "after" in seen.names)
        assert not task.done()


async def test_a_watch_that_does_not_come_back_ends_the_edge(server: tuple[WatchServer, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """kopf passes over a kind that it does not find: the process is then to be started again."""
    monkeypatch.setattr(edge_module, "BLIND_SECONDS", 0.5)
    monkeypatch.setattr(edge_module, "LOOK_SECONDS", 0.1)
    state, _ = server
    state.absent.add(FINETUNE_JOBS.plural)
    async with running_edge(server) as (_, task):
        with pytest.raises(RuntimeError, match=r"kopf does not watch finetunejobs\.finetune\.dev in all namespaces"):
            await task


async def test_it_ends_when_it_is_told_to(server: tuple[WatchServer, str]) -> None:
    """Its thread as well; there are no calls after that."""
    async with running_edge(server) as (seen, task):
        thread = next(thread for thread in threading.enumerate() if thread.name == "kopf")
        task.cancel()
        await asyncio.wait([task])
        seen.server.put(FINETUNE_JOBS, "late")
        await until(lambda: not thread.is_alive())
        assert seen.names == []


async def test_what_cannot_be_taken_holds_nothing_up(server: tuple[WatchServer, str]) -> None:
    """An object that cannot be processed does not affect the others."""
    state, _ = server
    async with running_edge(server) as (seen, task):
        seen.refuses = "odd"
        for name in ("odd", "next"):
            state.put(FINETUNE_JOBS, name)
        await until(lambda: "next" in seen.names)
        assert seen.names == ["next"]
        assert not task.done()
