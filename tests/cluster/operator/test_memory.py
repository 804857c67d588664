"""The operator stays within the memory that the chart gives it, whatever lies in the cluster."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.operator.conftest import Start
from tests.cluster.operator.operator_process import OperatorProcess
from tests.cluster.operator.simulation import Object, Space, simulated_job

pytestmark = pytest.mark.cluster

JOBS = 160
LIMIT = 512
"""MiB, as values.yaml has it."""


def largest_job(namespace: str, name: str) -> Object:
    """As many variables and annotations as the definition takes, suspended."""
    pod = {
        "env": [{"name": f"V{number}", "value": "x" * 4096} for number in range(64)],
        "annotations": {f"a{number}": "x" * 4096 for number in range(32)},
    }
    stages: dict[str, Any] = {stage: {"pod": pod} for stage in ("preparation", "training", "publishing")}
    return simulated_job(namespace, name, **stages, suspend=True)


def peak(operator: OperatorProcess) -> int:
    """MiB that were resident at most."""
    status = Path(f"/proc/{operator.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) >> 10


@pytest.mark.timeout(900)
def test_the_largest_jobs_fit(space: Space, start: Start) -> None:
    """1.2 MB each, read at the start and again when kopf lists them."""
    for first in range(0, JOBS, 20):
        jobs = [largest_job(space.name, f"tune-{number}") for number in range(first, first + 20)]
        space.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": jobs}))
    operator = start()
    space.wait("it leads", operator.leads)
    space.wait("all are paused", lambda: space.phases() == {"Paused": JOBS}, 120)
    used = peak(operator)
    print(f"{JOBS} of the largest jobs: at most {used} MiB")
    assert used < LIMIT
