"""Whether queueName has an effect."""

from dataclasses import replace
from typing import Any

import pytest

from finetune_operator.plan.common.conditions import find
from finetune_operator.plan.common.observed import ObservedJob
from finetune_operator.plan.job.plan_job import plan_job
from tests.unit.operator.plan.job.snapshots import observed, status, status_of
from tests.unit.operator.samples import SETTINGS, T, condition

pytestmark = pytest.mark.unit


def seen(spec: dict[str, Any], installed: bool, **more: Any) -> ObservedJob:
    return replace(observed(status(**more), spec), settings=replace(SETTINGS, kueue_installed=installed))


@pytest.mark.parametrize(
    ("spec", "installed", "shown"),
    [
        ({}, True, None),
        ({}, False, None),
        ({"queueName": "gpus"}, True, ("True", "KueueInstalled")),
        ({"queueName": "gpus"}, False, ("False", "KueueNotInstalled")),
        ({"queueName": "gpus", "suspend": True}, False, ("False", "KueueNotInstalled")),
    ],
)
def test_a_queue_without_kueue_is_said(spec: dict[str, Any], installed: bool, shown: tuple[str, str] | None) -> None:
    """In a condition of jobs that name one, and in a Warning; the job goes on all the same."""
    plan = plan_job(seen(spec, installed), T)
    found = find(status_of(plan).conditions, "QueueSupported")
    assert (found and (found.status, found.reason)) == shown
    warned = [event for event in plan.events if event.reason == "KueueNotInstalled"]
    assert [event.type for event in warned] == (["Warning"] if shown == ("False", "KueueNotInstalled") else [])
    assert bool(plan.create or status_of(plan).attempts) is not spec.get("suspend", False)


def test_the_warning_is_given_once() -> None:
    """And again only after Kueue was there in between."""
    first = plan_job(seen({"queueName": "gpus"}, False), T)
    again = seen({"queueName": "gpus"}, False)
    second = plan_job(replace(again, job=replace(again.job, status=status_of(first))), T + 60)
    assert [event for event in second.events if event.reason == "KueueNotInstalled"] == []


def test_the_condition_goes_with_the_queue_name() -> None:
    """queueName can be removed while the job is suspended."""
    old = [condition("QueueSupported", "False", "KueueNotInstalled"), condition("Suspended", "True", "Suspended")]
    plan = plan_job(seen({"suspend": True}, False, conditions=old), T)
    assert find(status_of(plan).conditions, "QueueSupported") is None
