"""The base model of a job."""

from dataclasses import replace

import pytest

from finetune_api.resources.finetune_job_status import FineTuneJobStatus
from finetune_operator.objects.records import FineTunedModel
from finetune_operator.plan.common.clock import rfc3339
from finetune_operator.plan.job.plan_job import plan_job
from tests.unit.operator.plan.job.snapshots import active, attempt, observed, shown, status, status_of
from tests.unit.operator.samples import (
    T,
    model,
    pod,
)

pytestmark = pytest.mark.unit


BASE = {"base": {"fineTunedModel": {"name": "bot"}}}


@pytest.mark.parametrize(
    ("base", "reason"),
    [
        (None, "BaseModelNotFound"),
        (model(deleting=True), "BaseModelNotFound"),
        (replace(model(), status=model().status.model_copy(update={"conditions": []})), "BaseModelNotReady"),
    ],
)
def test_a_base_model_must_be_there_and_verified(base: FineTunedModel | None, reason: str) -> None:
    """It is waited for, named, for limits.scheduleTimeout."""
    plan = plan_job(observed(FineTuneJobStatus(), BASE, base_model=base), T)
    assert shown(plan) == ("Pending", reason)
    error = status_of(plan).error
    assert error is not None
    assert error.object == "FineTunedModel bot"
    late = plan_job(observed(status_of(plan), BASE, base_model=base), T + 90_000)
    assert shown(late) == ("Failed", reason)
    failed = status_of(late).error
    assert failed is not None
    assert (failed.param, "limits.scheduleTimeout (24h) is over" in failed.message) == ("base.fineTunedModel", True)


@pytest.mark.parametrize("ended", [T, T + 80_000])
def test_a_base_model_that_vanishes_between_stages_is_waited_for(ended: float) -> None:
    """As long as before the first one, counted from the end of the last attempt, and not indefinitely."""
    done = status(attempt("prepare", 1, finished_at=rfc3339(ended)))
    assert shown(plan_job(observed(done, BASE), ended + 86_000))[1] == "BaseModelNotFound"
    late = plan_job(observed(done, BASE), ended + 90_000)
    assert shown(late) == ("Failed", "BaseModelNotFound")
    error = status_of(late).error
    assert error is not None
    assert (error.param, error.object) == ("base.fineTunedModel", "FineTunedModel bot")


def test_an_attempt_that_has_begun_does_not_wait_for_its_base() -> None:
    """Its Job was deleted and its pods are ending, for however long it ran: what its stage has made is not given up."""
    ran = status(attempt("prepare", 1), attempt("train", 1, "Running", finished_at=None))
    assert shown(plan_job(observed(ran, BASE, pods=(pod("tune-train-1-0-x", "tune-train-1"),)), T + 110_000))[0] != "Failed"


def test_a_base_model_that_is_ready_is_mounted() -> None:
    """In each stage."""
    plan = plan_job(observed(status(active("prepare", job_uid=None)), BASE, base_model=model()), T)
    volumes = plan.create[-1]["spec"]["template"]["spec"]["volumes"]
    assert {"name": "source-base", "persistentVolumeClaim": {"claimName": "bot-model"}} in volumes
