"""What the administrator forbids in the pods of a job."""

from dataclasses import replace
from typing import Any

import pytest

from finetune_api.resources.common import PodSettings
from finetune_operator.plan.common.overrides import forbidden_field
from finetune_operator.plan.common.plan import Plan
from finetune_operator.plan.job.plan_job import plan_job
from finetune_operator.settings import OVERRIDES
from tests.unit.operator.plan.job.snapshots import attempt, shown, status, status_of
from tests.unit.operator.samples import SETTINGS, T, job
from tests.unit.operator.world import World

pytestmark = pytest.mark.unit

SECRET = [{"secretRef": {"name": "keys"}}]
NONE = replace(SETTINGS, overrides=frozenset())


def planned(spec: dict[str, Any], allowed: set[str], *, begun: bool = False) -> Plan:
    """For a job of that spec, at its first sight or later."""
    world = World(job=job(status(attempt("prepare", 1)) if begun else None, **spec))
    return plan_job(replace(world.observed(), settings=replace(SETTINGS, overrides=frozenset(allowed))), T)


@pytest.mark.parametrize(
    ("spec", "allowed", "field"),
    [
        ({"preparation": {"pod": {"image": "mine:1"}}}, {"env", "envFrom"}, "preparation.pod.image"),
        ({"training": {"pod": {"env": [{"name": "HF_ENDPOINT", "value": "x"}]}}}, {"image"}, "training.pod.env"),
        ({"publishing": {"pod": {"envFrom": SECRET}}}, {"image", "env"}, "publishing.pod.envFrom"),
        ({"preparation": {"pod": {"serviceAccountName": "robot"}}}, {"image", "env", "envFrom"}, "preparation.pod.serviceAccountName"),
    ],
)
def test_a_job_that_sets_what_it_may_not(spec: dict[str, Any], allowed: set[str], field: str) -> None:
    """It fails before its first attempt, naming the field and the chart value; a started job continues."""
    plan = planned(spec, allowed)
    assert (shown(plan), plan.create, plan.apply) == (("Failed", "OverrideForbidden"), (), ())
    error = status_of(plan).error
    assert error is not None
    assert (error.param, error.object) == (field, "FineTuneJob tune")
    assert f"chart value overrides.{field.rpartition('.')[2]} is false" in error.message
    assert shown(planned(spec, allowed, begun=True))[1] != "OverrideForbidden"
    assert shown(planned(spec, set(OVERRIDES)))[0] == "Pending"


@pytest.mark.parametrize("pod", [{}, {"env": [], "envFrom": []}, {"labels": {"a": "b"}, "nodeSelector": {"a": "b"}, "fsGroup": 5}])
def test_what_is_never_forbidden(pod: dict[str, Any]) -> None:
    """Placement and labels are always allowed, and an empty list sets nothing."""
    assert forbidden_field({"pod": PodSettings.model_validate(pod)}, NONE) is None
