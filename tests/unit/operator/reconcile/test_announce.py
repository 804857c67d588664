"""Events are written beside the workers."""

import asyncio
from typing import Any

import pytest

from finetune_operator.client.errors import ServerGone
from finetune_operator.objects.parse import parse
from finetune_operator.objects.records import FineTuneJob
from finetune_operator.objects.resources import FINETUNE_JOBS
from finetune_operator.plan.common.plan import EventNote
from finetune_operator.reconcile.announce import WAITING, Announcer
from tests.unit.operator import raw

pytestmark = pytest.mark.unit


class Server:
    """Stands in for the request layer: keeps what is created, and fails where the reason says so."""

    def __init__(self) -> None:
        self.created: list[dict[str, Any]] = []

    async def create(self, obj: dict[str, Any]) -> None:
        if obj["reason"] == "Refused":
            raise ServerGone("POST events", 0)
        if obj["reason"] == "Unwritable":
            raise TypeError("str is not valid UTF-8: surrogates not allowed")
        self.created.append(obj)


def job() -> FineTuneJob:
    record = parse(FINETUNE_JOBS, raw.job("tune"))
    assert isinstance(record, FineTuneJob)
    return record


async def test_events_are_written_in_their_order_and_a_failure_stops_none() -> None:
    """About the very object, with a message that the API server takes."""
    server = Server()
    announcer = Announcer(server, "operator-0")  # type: ignore[arg-type]
    for reason in ("First", "Refused", "Unwritable", "Last"):
        announcer.say(EventNote("Normal", reason, "x" * 5000), job())
    writing = asyncio.create_task(announcer.run())
    await asyncio.sleep(0.01)
    writing.cancel()
    assert [event["reason"] for event in server.created] == ["First", "Last"]
    assert {key: server.created[0]["involvedObject"][key] for key in ("kind", "name", "uid")} == {
        "kind": "FineTuneJob", "name": "tune", "uid": "uid-tune",
    }  # fmt: skip
    assert len(server.created[0]["message"]) == 1024


async def test_to_say_something_never_waits() -> None:
    """Events that cannot be written are dropped when the queue is full."""
    announcer = Announcer(Server(), "operator-0")  # type: ignore[arg-type]
    for _ in range(WAITING + 10):
        announcer.say(EventNote("Normal", "Any", "text"), job())
