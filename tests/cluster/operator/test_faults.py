"""The operator, its leader and the API server die at random moments: nothing is lost, and no attempt runs twice."""

import random
import signal
import time
from pathlib import Path

import pytest

from finetune_operator.client import lease
from tests.cluster.control_plane import rendered
from tests.cluster.operator.conftest import Start
from tests.cluster.operator.operator_process import OperatorProcess
from tests.cluster.operator.simulation import Space, seen_jobs, simulated_job, twice

pytestmark = pytest.mark.cluster

SLOW = {"kwok.finetune.dev/run-for": "3s"}
STAGES = ("prepare", "train", "publish")
ESTABLISHED = 'jsonpath={.status.conditions[?(@.type=="Established")].status}'


def registered(space: Space, count: int) -> bool:
    """True when every job has come to its model."""
    return len(space.list("finetunedmodels")) == count


def _runs(space: Space, job: str) -> bool:
    """True when the status of the job says that its training runs."""
    found = space.get("finetunejob", job)
    return bool(found) and found.get("status", {}).get("reason") == "Training"


def _silent(operator: OperatorProcess, seconds: float = 1.5) -> bool:
    """True when the operator has written nothing for a while: no request is in flight whose log line would come later."""
    before = operator.writes()
    time.sleep(seconds)
    return operator.writes() == before


def test_kill_9(space: Space, start: Start, tmp_path: Path) -> None:
    """Ten kills while eight jobs run: every job comes to its model, and each stage had exactly one Job."""
    chance, count = random.Random(7), 8
    operator = start()
    with seen_jobs(space, tmp_path / "jobs") as jobs:
        space.wait("it leads", operator.leads)
        for number in range(10):
            if number < count:
                space.apply(simulated_job(space.name, f"tune-{number}", train=SLOW))
            time.sleep(chance.uniform(0.1, 1.5))
            operator.kill()
            operator.start()
        space.wait("all have come to their model", lambda: registered(space, count), 60)
        names = {name for name, _ in jobs()}
    stages = {f"tune-{number}-{stage}-1" for number in range(count) for stage in STAGES}
    assert twice(jobs()) == []
    assert stages <= names
    assert not {name for name in names - stages if "inspect" not in name}, "an attempt was repeated"


def test_the_api_server_goes_and_comes(space: Space, start: Start, tmp_path: Path) -> None:
    """The operator goes on with what happened before, meanwhile and after.

    By itself where the outage is shorter than its lease; else it ends, and is started again as the kubelet would do it.
    """
    operator = start()
    space.wait("it leads", operator.leads)
    space.apply(simulated_job(space.name, "before", train=SLOW))
    space.wait("train runs", lambda: space.get("job", "before-train-1"))
    space.plane.script("restart", "apiserver")
    space.apply(simulated_job(space.name, "after"))
    if operator.process.poll() is not None:
        assert operator.said("no longer leading")
        operator.start()
    space.wait("both have come to their model", lambda: registered(space, 2), 60)
    assert {job["metadata"]["name"] for job in space.list("jobs", "finetune.dev/job")} == {
        f"{name}-{stage}-1" for name in ("before", "after") for stage in STAGES
    }


def test_a_stopped_leader_is_replaced(space: Space, start: Start, tmp_path: Path) -> None:
    """A leader that hangs is succeeded after fifteen seconds; when it wakes up it leaves without writing anything."""
    leader = start("operator-a")
    space.wait("the first leads", leader.leads)
    standby = start("operator-b")
    with seen_jobs(space, tmp_path / "jobs") as jobs:
        space.apply(simulated_job(space.name, "tune", train={"kwok.finetune.dev/run-for": "30s"}))
        space.wait("train runs, and the leader has nothing to write", lambda: _runs(space, "tune") and _silent(leader))
        leader.signal(signal.SIGSTOP)
        space.wait("the second leads", standby.leads, seconds=2 * lease.DURATION)
        space.apply(simulated_job(space.name, "late"))
        written = leader.writes()
        leader.signal(signal.SIGCONT)
        space.wait("both have come to their model", lambda: registered(space, 2))
        assert leader.process.wait(10) == 1
        assert twice(jobs()) == []
    assert leader.said("no longer leading")
    assert leader.writes() == written
    assert {name for name, _ in jobs()} >= {f"{name}-{stage}-1" for name in ("tune", "late") for stage in STAGES}
    assert not [name for name, _ in jobs() if name.endswith("-2")]


def test_a_definition_is_deleted_and_made_again(space: Space, start: Start) -> None:
    """While a kind is not there the operator is not ready; what is made of it afterwards is served, by the same process."""
    operator = start()
    space.wait("it leads", operator.leads)
    space.kubectl("delete", "crd", "finetunejobs.finetune.dev")
    space.wait("it is not ready", lambda: (ready := operator.get("/readyz")) and ready.status_code == 503, 60)
    space.plane.apply(rendered("crds"))
    space.wait("the kind is served", lambda: space.kubectl("get", "crd", "finetunejobs.finetune.dev", "-o", ESTABLISHED) == "True")
    space.wait("it is ready", operator.leads, 60)
    space.apply(simulated_job(space.name, "after"))
    space.wait("the job has come to its model", lambda: registered(space, 1), 60)
    assert operator.process.poll() is None
