"""Code of the user runs only where the administrator allows it."""

from dataclasses import replace
from typing import Any

import pytest

from finetune_operator.build.run_config import run_config
from finetune_operator.build.stage_job import StageRun, stage_job_object
from finetune_operator.plan.common.plan import Plan
from finetune_operator.plan.job.plan_job import plan_job
from tests.unit.operator.plan.job.snapshots import attempt, shown, status, status_of
from tests.unit.operator.samples import SETTINGS, T, job, meta, spec
from tests.unit.operator.world import World

pytestmark = pytest.mark.unit

METHOD: dict[str, Any] = {"sft": {"customLoss": {"configMapKeyRef": {"name": "losses", "key": "loss.py"}, "function": "focal"}}}


def planned(method: dict[str, Any], *, allowed: bool, begun: bool = False) -> Plan:
    """For a job with that method, at its first sight or later."""
    world = World(job=job(status(attempt("prepare", 1)) if begun else None, method=method))
    return plan_job(replace(world.observed(), settings=replace(SETTINGS, allow_custom_code=allowed)), T)


def test_a_job_with_code_that_is_not_allowed() -> None:
    """It fails before its first attempt, naming the field and the chart value; a started job continues."""
    plan = planned(METHOD, allowed=False)
    assert (shown(plan), plan.create, plan.apply) == (("Failed", "CustomCodeForbidden"), (), ())
    error = status_of(plan).error
    assert error is not None
    assert (error.param, error.object) == ("method.sft.customLoss", "FineTuneJob tune")
    assert "chart value training.allowCustomCode is false" in error.message
    assert shown(planned(METHOD, allowed=False, begun=True))[1] != "CustomCodeForbidden"
    assert shown(planned(METHOD, allowed=True))[0] == "Pending"
    assert shown(planned({"sft": {"labelSmoothing": 0.1}}, allowed=False))[0] == "Pending"


@pytest.mark.parametrize(("stage", "mounted"), [("prepare", True), ("train", False), ("publish", False)])
def test_only_prepare_reads_the_config_map(stage: Any, mounted: bool) -> None:
    """The training runs what prepare has read: a change of the ConfigMap does not reach a running job."""
    run = StageRun(meta("tune"), spec(method=METHOD), stage, 1, image="trainer:1", model_volume="model")
    pod = stage_job_object(run, SETTINGS)["spec"]["template"]["spec"]
    volumes = [volume for volume in pod["volumes"] if volume.get("configMap", {}).get("name") == "losses"]
    assert bool(volumes) == mounted
    for volume in volumes:
        assert volume["configMap"]["items"] == [{"key": "loss.py", "path": "loss.py"}]
        assert {"name": volume["name"], "mountPath": "/sources/loss", "readOnly": True} in pod["containers"][0]["volumeMounts"]


def test_the_run_config_has_its_file() -> None:
    """Messages call it by its address."""
    method = run_config(meta("tune"), spec(method=METHOD), "trainer:1", None, SETTINGS).method
    assert method.sft is not None and method.sft.custom_loss is not None
    found = method.sft.custom_loss
    assert (found.uri, found.shown_as, found.function) == ("/sources/loss/loss.py", "configmap://losses/loss.py", "focal")
