"""Warning events from one watch: relevant ones about our children are kept for a while, others are dropped."""

from typing import Any

import pytest

from finetune_operator.listen.warning_events import REASONS_KEPT, WarningEvents
from finetune_operator.objects.cache import Cache, Key, Keys
from finetune_operator.objects.parse import parse
from finetune_operator.objects.resources import DEPLOYMENTS, PODS
from tests.unit.operator import raw

pytestmark = pytest.mark.unit

NOON = 1_767_268_800.0
"""2026-01-01T12:00:00Z."""


class Watched:
    """Events about one pod of job tune, and one Deployment of ModelDeployment web."""

    def __init__(self) -> None:
        self.cache, self.woken, self.now = Cache(), set[Key](), NOON
        self.cache.put(parse(PODS, raw.pod("p", labels={"finetune.dev/job": "tune"})))
        workload = {"metadata": raw.metadata("web", labels={"finetune.dev/deployment": "web"}), "spec": {"replicas": 1}}
        self.cache.put(parse(DEPLOYMENTS, workload))
        self.events = WarningEvents(None, self.cache, self._wake, lambda: self.now)  # type: ignore[arg-type]

    def _wake(self, keys: Keys) -> None:
        self.woken |= keys

    def about_pod(self) -> list[str]:
        return [event.message for event in self.events.about("uid-p")]


def event(message: str = "timed out", kind: str = "Pod", name: str = "p", reason: str = "FailedMount", **more: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "e", "namespace": "a", "resourceVersion": "7"}, "type": "Warning",
        "involvedObject": {"kind": kind, "name": name, "namespace": "a", "uid": f"uid-{name}"}, "reason": reason, "message": message,
        "lastTimestamp": "2026-01-01T12:00:00Z", **more,
    }  # fmt: skip


def test_an_event_about_a_child_is_kept_and_wakes_its_owner() -> None:
    """The newest of a reason, of the last ten minutes, the newest first."""
    watched = Watched()
    watched.events.take(event("old"))
    watched.events.take(event("new", lastTimestamp="2026-01-01T12:01:00Z"))
    watched.events.take(event("other", reason="FailedAttachVolume"))
    assert watched.about_pod() == ["new", "other"]
    assert watched.woken == {Key("FineTuneJob", "a", "tune")}
    watched.now += 630
    assert watched.about_pod() == ["new"]


def test_pods_that_a_deployment_is_refused_are_told_of_its_replica_set() -> None:
    """Which is named after it."""
    watched = Watched()
    watched.events.take(event("exceeded quota", "ReplicaSet", "web-5d4f", "FailedCreate"))
    assert [found.message for found in watched.events.about("uid-web")] == ["exceeded quota"]
    assert watched.woken == {Key("ModelDeployment", "a", "web")}


@pytest.mark.parametrize(
    "ignored",
    [
        event(name="somebody-else"),
        event(reason="Unhealthy"),
        {**event(), "involvedObject": {"kind": "Pod", "name": "p", "namespace": "a", "uid": "of-an-earlier-pod-p"}},
        event(kind="Node", name="p"),
        event("x", "ReplicaSet", "other-5d4f", "FailedCreate"),
        {"metadata": {"namespace": "a"}},
        {**event(), "involvedObject": None},
        {**event(), "message": 5},
    ],
)
def test_others_are_not_kept(ignored: dict[str, Any]) -> None:
    """Nor does one that cannot be understood do any harm."""
    watched = Watched()
    watched.events.take(ignored)
    assert (watched.about_pod(), watched.woken, len(watched.events._known)) == ([], set(), 0)


@pytest.mark.parametrize("time", ["0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "never", "9999-12-31T23:59:59Z"])
def test_any_time_is_a_time(time: str) -> None:
    """The API server takes the year 0."""
    watched = Watched()
    watched.events.take(event(lastTimestamp=time))
    assert watched.about_pod() == (["timed out"] if time.startswith("9999") else [])


def test_little_is_kept_of_each() -> None:
    """So many reasons, and messages that are cut."""
    watched = Watched()
    for reason in ("FailedMount", "FailedAttachVolume", "FailedMapVolume", "ProvisioningFailed", "FailedBinding", "FailedCreatePodSandBox"):
        watched.events.take(event("x" * 100_000, reason=reason))
    assert len(watched.about_pod()) <= REASONS_KEPT
    assert max(map(len, watched.about_pod())) == 2048
