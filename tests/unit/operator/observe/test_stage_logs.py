"""Logs are read beside the workers: asked for seldom, never waited for but at a pod's end, and never a failure."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from finetune_operator.client.errors import Invalid, NotFound, ServerGone
from finetune_operator.objects.parse import parse
from finetune_operator.objects.records import Pod
from finetune_operator.objects.resources import PODS
from finetune_operator.observe.stage_logs import LINES, LogTail, StageLogs, parse_tail
from tests.unit.operator import raw

pytestmark = pytest.mark.unit

SILENT = "silent"
Answer = str | Exception


class Kubelets:
    """Stands in for the request layer: answers with the next of `answers`, raises it, or is silent until `let_go`."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.let_go = asyncio.Event()
        self.now = 100.0
        self.woken = 0
        self.logs = StageLogs(self, lambda: self.now)  # type: ignore[arg-type]

    async def text(self, path: str, params: Mapping[str, str], seconds: float) -> str:
        self.asked.append(path)
        found = self.answers.pop(0) if self.answers else SILENT
        if found == SILENT:
            await self.let_go.wait()
            raise ServerGone("GET log", 0)
        if isinstance(found, Exception):
            raise found
        return found

    def tail(self, pod: Pod, now: float = 0.0) -> LogTail | None:
        def woken() -> None:
            self.woken += 1

        return self.logs.tail(pod, now, woken)

    async def after_reading(self, pod: Pod) -> LogTail | None:
        """Asks, lets the reading end, and asks again."""
        self.tail(pod)
        await asyncio.sleep(0.01)
        return self.tail(pod)


def pod(phase: str = "Running", name: str = "p", node: str = "node-1", **more: Any) -> Pod:
    record = parse(PODS, {**raw.pod(name, status={"phase": phase}, **more), "spec": {"nodeName": node}})
    assert isinstance(record, Pod)
    return record


async def test_a_log_is_read_at_most_every_five_seconds() -> None:
    """In between the last answer counts; something new wakes the job, the same again does not."""
    kubelets = Kubelets("one", "one", "two")
    assert kubelets.tail(pod()) == LogTail()
    assert await kubelets.after_reading(pod()) == parse_tail("one")
    assert (len(kubelets.asked), kubelets.woken) == (1, 1)
    kubelets.now += 5
    assert await kubelets.after_reading(pod()) == parse_tail("one")
    assert (len(kubelets.asked), kubelets.woken) == (2, 1)
    kubelets.now += 5
    assert await kubelets.after_reading(pod()) == parse_tail("two")
    assert kubelets.woken == 2


async def test_the_last_words_are_waited_for_and_read_once() -> None:
    """A decision about an ended pod waits for them."""
    kubelets = Kubelets("one", "last")
    await kubelets.after_reading(pod())
    assert kubelets.tail(pod("Failed")) is None
    await asyncio.sleep(0.01)
    assert kubelets.woken == 2
    kubelets.now += 4000
    assert await kubelets.after_reading(pod("Failed")) == parse_tail("last")
    assert len(kubelets.asked) == 2


async def test_last_words_that_do_not_come_hold_up_nothing_for_long() -> None:
    """Ten seconds; then what was tail before counts."""
    kubelets = Kubelets("one")
    await kubelets.after_reading(pod())
    assert await kubelets.after_reading(pod("Failed")) is None
    kubelets.now += 10
    assert kubelets.tail(pod("Failed")) == parse_tail("one")


@pytest.mark.parametrize(
    ("error", "again"), [(ServerGone("GET log", 0), True), (Invalid("GET log", 400), True), (NotFound("GET log", 404), False)]
)
async def test_a_reading_that_failed_is_repeated(error: Exception, again: bool) -> None:
    """After half a minute, unless the pod is deleted; until then the tail is empty."""
    kubelets = Kubelets(error, "last")
    assert await kubelets.after_reading(pod("Failed")) == LogTail()
    assert len(kubelets.asked) == 1
    kubelets.now += 31
    assert await kubelets.after_reading(pod("Failed")) == (parse_tail("last") if again else LogTail())


async def test_a_silent_kubelet_is_left_alone_and_the_others_are_not() -> None:
    """Its other pods are not asked for a while."""
    kubelets = Kubelets(ServerGone("GET log", 0), "elsewhere")
    await kubelets.after_reading(pod(name="a", node="silent"))
    assert await kubelets.after_reading(pod(name="b", node="silent")) == LogTail()
    assert await kubelets.after_reading(pod(name="c", node="other")) == parse_tail("elsewhere")
    assert len(kubelets.asked) == 2


async def test_a_pod_on_a_lost_node_is_not_asked() -> None:
    """One that should be gone already."""
    kubelets = Kubelets("never")
    lost = pod(deletionTimestamp="2026-01-01T00:00:00Z")
    assert lost.gone_by
    assert kubelets.tail(lost, lost.gone_by + 1) == LogTail()
    assert kubelets.asked == []


async def test_asking_never_waits() -> None:
    """With any number of unresponsive kubelets, `tail` returns immediately; at most sixteen reads run concurrently."""
    kubelets = Kubelets()
    for number in range(100):
        assert kubelets.tail(pod(name=f"p-{number}", node=f"n-{number}")) == LogTail()
    await asyncio.sleep(0.01)
    assert len(kubelets.asked) == 16
    kubelets.let_go.set()
    await asyncio.sleep(0.05)
    assert len(kubelets.asked) == 100


def test_little_is_kept_of_a_log() -> None:
    """Twenty short lines and the newest progress, regardless of the size of the log."""
    progress = '{"finetuneProgress":{"stage":"train","activity":"training","step":3,"totalSteps":10}}'
    tail = parse_tail("\n".join(["x" * 20_000] * 40 + [progress, "", "last"]))
    assert tail.progress
    assert (tail.progress.step, len(tail.lines), tail.lines[-1]) == (3, LINES, "last")
    assert max(map(len, tail.lines)) == 512
