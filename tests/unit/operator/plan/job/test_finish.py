"""The model is registered; a finished job deletes what it no longer needs."""

from dataclasses import replace
from typing import Any

import pytest

from finetune_operator.objects.names import JOB_UID_ANNOTATION, SPEC_DIGEST_ANNOTATION
from finetune_operator.plan.common.conditions import find, holds
from finetune_operator.plan.common.plan import Plan
from finetune_operator.plan.job.finish import MODEL_DELETED
from finetune_operator.plan.job.plan_job import plan_job
from tests.unit.operator.plan.job.snapshots import DONE, named, observed, shown, status, status_of
from tests.unit.operator.samples import (
    JOB_UID,
    T,
    batch,
    claim,
    condition,
    meta,
    model,
)

pytestmark = pytest.mark.unit


def finishing(**more: Any) -> Plan:
    volume = {"tune-model": claim("tune-model", owners=frozenset({JOB_UID}))}
    workspace = {"tune-workspace": claim("tune-workspace", owners=frozenset({JOB_UID}))}
    return plan_job(observed(status(*DONE), **{"claims": {**workspace, **volume}, **more}), T + 60)


OURS = {JOB_UID_ANNOTATION: JOB_UID}


def test_the_model_is_created_after_publish() -> None:
    """Not owned by the job, so that it outlives it."""
    (made,) = finishing().create
    assert (made["kind"], made["metadata"]["name"]) == ("FineTunedModel", "tune")
    assert "ownerReferences" not in made["metadata"]


def test_the_volume_goes_over_to_the_model_before_the_job_is_complete() -> None:
    """The model is its only owner then."""
    plan = finishing(output_model=named(OURS))
    assert shown(plan) == ("Evaluating", "Registering")
    (volume,) = plan.apply
    assert [owner["kind"] for owner in volume["metadata"]["ownerReferences"]] == ["FineTunedModel"]


HANDED_OVER = {"tune-model": claim("tune-model", owners=frozenset({"uid-tune"}))}


@pytest.mark.parametrize(
    ("conditions", "phase", "reason"),
    [
        ([condition("Ready", "True", "Verified")], "Succeeded", "Complete"),
        ([condition("Ready", "False", "Inspecting")], "Evaluating", "Registering"),
        ([condition("Ready", "False", "Bad"), condition("Stalled", "True", "Bad")], "Failed", "ModelInvalid"),
    ],
)
def test_the_job_is_complete_when_its_model_has_been_verified(conditions: list[Any], phase: str, reason: str) -> None:
    """By the model's own inspection."""
    found = named(OURS)
    found = replace(found, status=found.status.model_copy(update={"conditions": conditions}))
    assert shown(finishing(output_model=found, claims=HANDED_OVER)) == (phase, reason)


@pytest.mark.parametrize(("owners", "reason"), [({JOB_UID, "uid-tune"}, "Registering"), ({"uid-tune", "uid-backup"}, "Complete")])
def test_the_volume_is_handed_over_when_the_job_owns_it_no_more(owners: set[str], reason: str) -> None:
    """Owners that another client adds are not removed."""
    volume = {"tune-model": claim("tune-model", owners=frozenset(owners))}
    found = replace(named(OURS), status=named(OURS).status.model_copy(update={"conditions": [condition("Ready", "True")]}))
    assert shown(finishing(output_model=found, claims=volume))[1] == reason


def test_a_model_volume_that_has_gone_fails_the_job() -> None:
    """Rather than register a model without bytes."""
    plan = finishing(claims={})
    assert (shown(plan), plan.create) == (("Failed", "ModelVolumeLost"), ())


GOING = {"tune-model": claim("tune-model", deleting=True, labels={"finetune.dev/model": "tune"}, owners=frozenset({"uid-tune"}))}


PREPARE, PUBLISH = "tune-prepare-1", "tune-publish-1"


@pytest.mark.parametrize(
    ("over", "spec_", "more", "released"),
    [
        ("Complete", {}, {}, []),
        ("Complete", {}, {"claims": GOING}, [PUBLISH]),
        ("Complete", {}, {"service": meta("tune-train")}, ["tune-train"]),
        ("Complete", {}, {"service": meta("tune-train", deleting=True)}, []),
        ("Complete", {"base": {"fineTunedModel": {"name": "bot"}}}, {"base_model": model()}, []),
        ("Complete", {"base": {"fineTunedModel": {"name": "bot"}}}, {"base_model": model(deleting=True)}, [PREPARE, PUBLISH]),
        ("Failed", {}, {}, []),
        ("Failed", {}, {"claims": GOING}, [PUBLISH]),
        ("Failed", {"base": {"fineTunedModel": {"name": "bot"}}}, {"base_model": model()}, []),
        ("Failed", {"base": {"fineTunedModel": {"name": "bot"}}}, {"base_model": model(deleting=True)}, [PREPARE, PUBLISH]),
        ("Failed", {"base": {"fineTunedModel": {"name": "bot"}}}, {}, [PREPARE, PUBLISH]),
    ],
)
def test_a_job_that_is_over_lets_go_of_models(over: str, spec_: dict[str, Any], more: dict[str, Any], released: list[str]) -> None:
    """An ended pod that mounts a deleted model's claim would keep its bytes."""
    jobs = {}
    for name in (PREPARE, PUBLISH):
        found = batch(name, complete=True, terminated=True)
        jobs[name] = replace(found, meta=replace(found.meta, labels={"finetune.dev/stage": name.split("-")[1]}))
    state = status(conditions=[condition(over, "True")], observed_generation=1)
    plan = plan_job(observed(state, spec_, jobs=jobs, **more), T)
    assert [ref.name for ref in plan.delete] == released


def test_a_finished_job_says_that_its_model_was_deleted() -> None:
    """It stays complete; a model that another job has trained from the same spec takes the place of the first one."""
    state = status(conditions=[condition("Complete", "True")], model="tune", spec_digest="d1", trained_steps=30, total_steps=30)
    assert find(status_of(plan_job(observed(state, output_model=named(OURS)), T)).conditions, MODEL_DELETED) is None
    gone = status_of(plan_job(observed(state), T))
    found = find(gone.conditions, MODEL_DELETED)
    assert found is not None
    assert found.message.startswith("FineTunedModel tune was deleted after this job had finished")
    assert (gone.progress_text, holds(gone.conditions, "Complete")) == ("model deleted", True)
    assert plan_job(observed(gone), T + 60).status is None
    assert plan_job(observed(gone, output_model=named({})), T + 60).status is None
    again = status_of(plan_job(observed(gone, output_model=named({SPEC_DIGEST_ANNOTATION: "d1"})), T + 60))
    assert (find(again.conditions, MODEL_DELETED), again.progress_text) == (None, "100% (30/30)")


def test_a_failed_job_does_not_look_for_its_model() -> None:
    """It has none."""
    plan = plan_job(observed(status(conditions=[condition("Failed", "True")], observed_generation=1)), T)
    assert plan.status is None or find(status_of(plan).conditions, MODEL_DELETED) is None
