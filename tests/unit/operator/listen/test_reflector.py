"""Our own reflector against a real server of the watch protocol: no error of a watch ends it, and what was missed is listed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import Configuration

from finetune_operator.client.api import Api
from finetune_operator.client.connection import Connection
from finetune_operator.client.errors import ServerGone
from finetune_operator.listen import reflector as reflector_module
from finetune_operator.listen.reflector import Reflector
from finetune_operator.listen.watches import Watches
from finetune_operator.objects.cache import Cache
from finetune_operator.objects.records import FineTuneJob
from finetune_operator.objects.resources import FINETUNE_JOBS
from tests.unit.operator import raw
from tests.unit.operator.watch_server import WatchServer, until

pytestmark = pytest.mark.unit


class Watching:
    """A reflector at work, what it keeps, and whether it says that it is alive."""

    def __init__(self, server: WatchServer, api: Api) -> None:
        self.server, self.cache, self.watches = server, Cache(), Watches()
        self.reflector = Reflector(api, FINETUNE_JOBS, None, self.cache, lambda keys: None, self.watches)

    def names(self) -> set[str]:
        return {job.meta.name for job in self.cache.all(FineTuneJob)}

    def connected(self) -> bool:
        return bool(self.server.watches[FINETUNE_JOBS.plural]) and not self.watches.dead(-1)


@pytest.fixture
async def watching(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watching]:
    monkeypatch.setattr(reflector_module, "LONGEST_PAUSE", 0.05)
    state = WatchServer()
    async with TestServer(state.app()) as running:
        connection = Connection(Configuration(host=str(running.make_url("")).rstrip("/")), False)
        async with Api(connection) as api:
            found = Watching(state, api)
            await found.reflector.list_until_done()
            task = asyncio.create_task(found.reflector.watch())
            await until(found.connected)
            yield found
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            state.close(FINETUNE_JOBS)


DEATHS: dict[str, Callable[[WatchServer], None]] = {
    "ERROR 500": lambda server: server.fail(FINETUNE_JOBS, 500),
    "ERROR 404": lambda server: server.fail(FINETUNE_JOBS, 404),
    "ERROR 410": lambda server: server.fail(FINETUNE_JOBS, 410),
    "no JSON": lambda server: server.say(FINETUNE_JOBS, b'{"type": "ADDED", "obj\n'),
    "an array": lambda server: server.say(FINETUNE_JOBS, b"[]\n"),
    "no object": lambda server: server.say(FINETUNE_JOBS, b'{"type": "ADDED", "object": {}}\n'),
    "closed": lambda server: server.close(FINETUNE_JOBS),
}


@pytest.mark.parametrize("death", DEATHS)
async def test_a_watch_dies_and_goes_on(watching: Watching, death: str) -> None:
    """What happens afterwards arrives, deletions too."""
    watching.server.put(FINETUNE_JOBS, "before")
    await until(lambda: watching.names() == {"before"})
    DEATHS[death](watching.server)
    watching.server.delete(FINETUNE_JOBS, "before")
    watching.server.put(FINETUNE_JOBS, "after")
    await until(lambda: watching.names() == {"after"})
    await until(watching.connected)


async def test_a_definition_goes_and_comes(watching: Watching) -> None:
    """While it is away the watch is down; what was lost with it is dropped."""
    watching.server.put(FINETUNE_JOBS, "before")
    await until(lambda: watching.names() == {"before"})
    watching.server.undefine(FINETUNE_JOBS)
    await until(lambda: watching.watches.dead(-1))
    watching.server.define(FINETUNE_JOBS)
    watching.server.put(FINETUNE_JOBS, "after")
    await until(lambda: watching.names() == {"after"})
    await until(watching.connected)


async def test_a_server_that_closes_at_once_is_not_asked_without_a_pause(watching: Watching, monkeypatch: pytest.MonkeyPatch) -> None:
    """Meanwhile lists show what has changed."""
    monkeypatch.setattr(reflector_module, "LONGEST_PAUSE", 0.2)
    watching.server.close_at_once = True
    watching.server.close(FINETUNE_JOBS)
    watching.server.asked.clear()
    await asyncio.sleep(1)
    assert 0 < len(watching.server.asked) < 40
    watching.server.put(FINETUNE_JOBS, "after")
    await until(lambda: watching.names() == {"after"})


class Pages:
    """Stands in for the request layer: the second list breaks off after its first page."""

    def __init__(self) -> None:
        self.lists, self.since = 0, list[int]()

    async def pages(self, *_: object) -> AsyncIterator[tuple[list[dict[str, Any]], int]]:
        self.lists += 1
        yield [raw.job("first", 5)], 10 * self.lists
        if self.lists == 2:
            raise ServerGone("GET finetunejobs", 0)

    async def watch(self, _: str, __: object, since: int, *___: object) -> AsyncIterator[dict[str, Any]]:
        self.since.append(since)
        await asyncio.sleep(60)
        yield {}


async def test_a_list_that_breaks_off_moves_the_watch_nowhere() -> None:
    """What is on the pages that were not read has to come through the watch."""
    api = Pages()
    reflector = Reflector(api, FINETUNE_JOBS, None, Cache(), lambda keys: None, Watches())  # type: ignore[arg-type]
    await reflector.list()
    with pytest.raises(ServerGone):
        await reflector.list()
    watch = asyncio.create_task(reflector.watch())
    await until(lambda: api.since)
    watch.cancel()
    assert api.since == [10]


def test_a_watch_counts_as_dead_after_a_while_only() -> None:
    """A short reconnect does not count; the watch that is disconnected longest comes first."""
    now = [0.0]
    watches = Watches(lambda: now[0])
    watches.down("a")
    now[0] = 15
    watches.down("b")
    watches.down("a")
    assert watches.dead() == []
    now[0] = 40
    assert watches.dead() == ["a", "b"]
    watches.up("a")
    assert watches.dead() == ["b"]
