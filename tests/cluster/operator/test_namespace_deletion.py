"""A namespace with running jobs and servers is deleted: the operator holds up nothing and creates nothing in it again."""

import re

import pytest

from tests.cluster.objects import deployment
from tests.cluster.operator.conftest import Start
from tests.cluster.operator.operator_process import OperatorProcess
from tests.cluster.operator.simulation import Space, simulated_job

pytestmark = pytest.mark.cluster

JOBS, MODELS = 12, ("bot-a", "bot-b")
OURS = "finetunejobs,finetunedmodels,modeldeployments,jobs,services,configmaps,deployments,pods,pvc"
OF_KUBERNETES = {"kubernetes.io/pvc-protection", "batch.kubernetes.io/job-tracking"}


def created(operator: OperatorProcess) -> int:
    """Objects that the API server has created for the operator, by its own count of requests."""
    metrics = operator.get("/metrics")
    assert metrics
    found = re.findall(r'^finetune_operator_api_requests_total\{method="(?:POST|PATCH)",status="201"\} (\S+)$', metrics.text, re.MULTILINE)
    return round(sum(map(float, found)))


def status_writes(operator: OperatorProcess) -> int:
    """By the operator's log."""
    return sum(
        line["logger"] == "finetune_operator.reconcile.execute" and line["message"].startswith("status:") for line in operator.lines()
    )


def populated(space: Space) -> None:
    """Twelve jobs that train and two models that are served."""
    space.apply(*(simulated_job(space.name, name) for name in MODELS))
    space.wait("the models are registered", lambda: len(space.list("finetunedmodels")) == len(MODELS))
    space.apply(*(deployment(space.name, f"serve-{name}", name) for name in MODELS))
    space.apply(*(simulated_job(space.name, f"tune-{n}", train={"kwok.finetune.dev/hold": "running"}) for n in range(JOBS)))
    space.wait("all train", lambda: space.phases()["Training"] == JOBS, 90)
    space.wait("both serve", lambda: [item["status"]["readyReplicas"] for item in space.list("deployments")] == [1, 1])


def test_a_namespace_with_running_jobs(space: Space, start: Start) -> None:
    """No finalizer is the operator's. While the namespace terminates, it only writes the status of what is left."""
    operator = start()
    populated(space)
    assert {finalizer for item in space.list(OURS) for finalizer in item["metadata"].get("finalizers", [])} <= OF_KUBERNETES
    before, written = created(operator), status_writes(operator)
    space.kubectl("delete", "namespace", space.name, "--wait=false")
    space.wait("the namespace is gone", lambda: space.get("namespace", space.name) is None, 120)
    assert created(operator) == before
    assert status_writes(operator) - written < 8 * (JOBS + 2 * len(MODELS))
    assert not [line for line in operator.lines() if "traceback" in line]
