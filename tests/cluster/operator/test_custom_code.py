"""A loss of the user's own, which runs only where the chart allows it."""

import pytest

from tests.cluster.operator.conftest import Start
from tests.cluster.operator.simulation import Space, simulated_job

pytestmark = pytest.mark.cluster

METHOD = {"sft": {"customLoss": {"configMapKeyRef": {"name": "losses", "key": "loss.py"}}}}


def test_code_runs_only_where_the_chart_allows_it(space: Space, start: Start) -> None:
    """Without the value the job fails before its first pod, with the name of the value; with it prepare mounts the code."""
    refusing = start()
    space.apply(simulated_job(space.name, "refused", method=METHOD))
    failed = space.wait(
        "it is refused", lambda: (job := space.get("finetunejob", "refused")) and job.get("status", {}).get("error") and job
    )
    error = failed["status"]["error"]
    assert (error["code"], error["param"]) == ("CustomCodeForbidden", "method.sft.customLoss")
    assert "training.allowCustomCode" in error["message"]
    assert space.list("jobs", "finetune.dev/job=refused") == []
    refusing.terminate()
    start("operator-1", FINETUNE_ALLOW_CUSTOM_CODE="true")
    space.apply(simulated_job(space.name, "allowed", method=METHOD))
    prepare = space.wait("prepare was created", lambda: space.get("job", "allowed-prepare-1"))
    volumes = prepare["spec"]["template"]["spec"]["volumes"]
    assert "losses" in [volume["configMap"]["name"] for volume in volumes if "configMap" in volume]
