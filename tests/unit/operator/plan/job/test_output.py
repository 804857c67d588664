"""Two jobs with one model name: the second waits for the first; if it has started, its model gets another name."""

from dataclasses import replace
from typing import Any

import pytest

from finetune_api.resources.finetune_job_status import FineTuneJobStatus
from finetune_operator.objects.names import JOB_UID_ANNOTATION, SPEC_DIGEST_ANNOTATION, kept_names
from finetune_operator.objects.records import FineTuneJob, WarningEvent
from finetune_operator.plan.job.plan_job import plan_job
from tests.unit.operator.plan.job.snapshots import active, attempt, named, observed, shown, status, status_of
from tests.unit.operator.samples import (
    JOB_UID,
    T,
    claim,
    job,
    meta,
    model,
    spec,
)
from tests.unit.operator.world import World

pytestmark = pytest.mark.unit

OUTPUT: dict[str, Any] = {"output": {"model": "bot"}}


def rival(name: str, created: float = T, begun: bool = False) -> FineTuneJob:
    """Another job that creates bot."""
    state = status(attempt("prepare", 1)) if begun else FineTuneJobStatus()
    return FineTuneJob(meta(name, created=created), spec(**OUTPUT), state)


@pytest.mark.parametrize(
    ("other", "waits"),
    [
        (rival("aaa"), True),
        (rival("zzz"), False),
        (rival("zzz", created=T - 1), True),
        (rival("aaa", created=T + 1), False),
        (rival("zzz", created=T + 1, begun=True), True),
    ],
)
def test_the_second_job_waits_for_the_first(other: FineTuneJob, waits: bool) -> None:
    """A started job takes precedence, then the older one, then the one with the smaller name; the message names it."""
    world = World(job=job(**OUTPUT), rivals=(other,))
    world.reconcile()
    found = world.job.status
    assert found.phase == "Pending"
    assert (found.reason == "OutputContested") is waits
    if waits:
        assert found.error is not None
        assert (found.error.code, found.error.object) == ("OutputContested", f"FineTuneJob {other.meta.name}")
        assert f"FineTuneJob {other.meta.name} also creates FineTunedModel bot and takes precedence" in found.error.message
        assert world.created == []


def test_the_second_job_starts_when_the_first_has_failed() -> None:
    """The name is free again, so nothing is lost by the wait."""
    world = World(job=job(**OUTPUT), rivals=(rival("aaa"),))
    world.reconcile()
    world.rivals = ()
    world.calm()
    assert world.job.status.phase == "Succeeded"
    assert world.job.status.error is None


def test_the_wait_for_another_job_is_bounded() -> None:
    """A job that is paused for good does not hold up another one for longer than limits.scheduleTimeout."""
    world = World(job=job(**OUTPUT), rivals=(rival("aaa"),))
    world.reconcile()
    world.now += 90_000
    world.reconcile()
    assert (world.job.status.phase, world.job.status.reason) == ("Failed", "OutputContested")
    assert world.job.status.error is not None
    assert "has not finished within limits.scheduleTimeout (24h)" in world.job.status.error.message


@pytest.mark.parametrize(("deleting", "reason"), [(False, "OutputNotReady"), (True, "ModelTerminating")])
def test_the_wait_for_a_model_with_that_name_is_bounded(deleting: bool, reason: str) -> None:
    """A model whose inspection cannot start, or whose deletion does not end, must not keep a job Pending indefinitely."""
    state, spec_ = FineTuneJobStatus(), {"output": {"model": "bot"}}
    digest = status_of(plan_job(observed(state, spec_), T)).spec_digest
    found = model(annotations={SPEC_DIGEST_ANNOTATION: str(digest)}, deleting=deleting)
    found = replace(found, status=found.status.model_copy(update={"conditions": []}))
    first = plan_job(observed(state, spec_, output_model=found), T)
    assert shown(first) == ("Pending", reason)
    late = plan_job(observed(status_of(first), spec_, output_model=found), T + 90_000)
    assert shown(late) == ("Failed", reason)
    error = status_of(late).error
    assert error is not None
    assert (error.param, "limits.scheduleTimeout (24h) is over" in error.message) == ("output.model", True)


def test_the_message_says_that_the_other_job_is_suspended() -> None:
    """Nothing moves until it is resumed or deleted."""
    first = FineTuneJob(meta("aaa", created=T), spec(**OUTPUT, suspend=True), FineTuneJobStatus())
    world = World(job=job(**OUTPUT), rivals=(first,))
    world.reconcile()
    assert world.job.status.error is not None
    assert "takes precedence: it is suspended; resume or delete it" in world.job.status.error.message


def test_a_job_that_has_begun_does_not_wait() -> None:
    """The other one is, however old it is."""
    world = World(job=job(**OUTPUT))
    world.do()
    world.rivals = (rival("aaa", created=T - 1),)
    world.calm()
    assert world.job.status.phase == "Succeeded"


@pytest.mark.parametrize("stages_done", [1, 2, 3])
def test_a_model_made_by_hand_meanwhile_takes_the_name_alone(stages_done: int) -> None:
    """The result is registered under a name that says so, with the volume that holds it."""
    world = World(job=job(**OUTPUT))
    for _ in range(stages_done - 1):
        world.do()
    world.reconcile()
    world.run_pods()
    world.reconcile()
    world.foreign = model("bot")
    world.end_pods()
    world.tick()
    world.calm()
    state = world.job.status
    assert (state.phase, state.model) == ("Succeeded", "bot-from-tune")
    assert world.model is not None
    assert world.model.meta.name == "bot-from-tune"
    assert world.model.spec is not None
    volume = world.claims[world.model.spec.source.claim.name]
    assert volume.meta.owners == {world.model.meta.uid}
    assert volume.meta.labels["finetune.dev/model"] == "bot-from-tune"
    reported = [note for note in world.events if note.reason == "OutputRenamed"]
    assert [note.type for note in reported] == ["Warning"]
    assert "is kept as FineTunedModel bot-from-tune" in reported[0].message


@pytest.mark.parametrize(
    "more",
    [
        {"claims": {"bot-model": claim("bot-model", owners=frozenset({"another"}))}},
        {"refusal": WarningEvent("PersistentVolumeClaim", "bot-model", "NotOurs", "belongs to another object", T)},
    ],
)
def test_a_volume_of_another_job_takes_the_name_alone(more: dict[str, Any]) -> None:
    """What a job has left that failed while it published: the name is another one before anything waits for it."""
    state = status(attempt("prepare", 1), attempt("train", 1)).model_copy(update={"model": "bot"})
    world = World(job=job(state, **OUTPUT))
    seen = replace(world.observed(), claims={"tune-workspace": claim("tune-workspace", owners=frozenset({JOB_UID}))})
    seen = replace(seen, refusal=more.get("refusal"), claims={**seen.claims, **more.get("claims", {})})
    plan = plan_job(seen, T)
    assert shown(plan) == ("Starting", "OutputRenamed")
    assert status_of(plan).model == "bot-from-tune"


def test_names_to_fall_back_to() -> None:
    """Within the limit of a name, and never the job's own name twice."""
    assert kept_names("bot", "tune", "0123456789") == ("bot", "bot-from-tune", "bot-01234567")
    assert kept_names("bot", "bot", "0123456789") == ("bot", "bot-01234567")
    assert kept_names("b" * 40, "tune", "0123456789") == ("b" * 40, "b" * 31 + "-01234567")


def test_the_last_name_is_taken_as_well() -> None:
    """Then there is nothing left but to fail, and the volume stays the job's."""
    state = status(attempt("prepare", 1), attempt("train", 1), attempt("publish", 1))
    there = model("bot-11111111")
    world = World(job=job(state.model_copy(update={"model": "bot-11111111"}), **OUTPUT), foreign=there)
    world.claims = {name: claim(name, owners=frozenset({JOB_UID})) for name in ("tune-workspace", "bot-model")}
    plan = plan_job(world.observed(), T)
    assert shown(plan) == ("Failed", "OutputExists")


def digest() -> str:
    found = status_of(plan_job(observed(FineTuneJobStatus()), T)).spec_digest
    assert found is not None
    return found


def test_a_model_of_the_same_spec_is_not_trained_again() -> None:
    """Complete without a pod."""
    there = named({SPEC_DIGEST_ANNOTATION: digest(), JOB_UID_ANNOTATION: "another"})
    plan = plan_job(observed(FineTuneJobStatus(), output_model=there), T)
    assert shown(plan) == ("Succeeded", "AlreadyTrained")
    assert (plan.apply, plan.create, status_of(plan).attempts) == ((), (), [])


def test_a_model_that_appears_before_the_job_of_an_attempt_is_not_trained_again() -> None:
    """Two jobs of one spec: the second one ends with the first one's model, and nothing of it runs."""
    there = named({SPEC_DIGEST_ANNOTATION: digest(), JOB_UID_ANNOTATION: "another"})
    plan = plan_job(observed(status(active("prepare", job_uid=None)), output_model=there), T)
    assert (shown(plan), plan.create) == (("Succeeded", "AlreadyTrained"), ())
    assert [(a.state, a.reason) for a in status_of(plan).attempts] == [("Interrupted", "OutputTaken")]


def test_a_model_of_another_spec_is_never_overwritten() -> None:
    """It fails before any pod is created, with the next step."""
    plan = plan_job(observed(FineTuneJobStatus(), output_model=named({SPEC_DIGEST_ANNOTATION: "f" * 64})), T)
    assert shown(plan) == ("Failed", "OutputExists")
    error = status_of(plan).error
    assert error is not None
    assert (error.param, error.object) == ("output.model", "FineTunedModel tune")


def test_a_model_that_goes_is_waited_for() -> None:
    """Its name is free after that."""
    plan = plan_job(observed(FineTuneJobStatus(), output_model=named({}, deleting=True)), T)
    assert shown(plan) == ("Pending", "ModelTerminating")
