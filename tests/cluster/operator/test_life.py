"""From a FineTuneJob to its children, and the operator's own life."""

import json

import pytest

from finetune_operator.client import lease
from tests.cluster.objects import Object, model
from tests.cluster.operator.conftest import Start
from tests.cluster.operator.simulation import Space, simulated_job

pytestmark = pytest.mark.cluster


def test_a_job_gets_its_children_and_goes_on(space: Space, start: Start) -> None:
    """A Job per stage, POSTed once, owned by the FineTuneJob; results come back from the pods; the end is a FineTunedModel."""
    operator = start(FINETUNE_LOG_LEVEL="DEBUG")
    space.apply(simulated_job(space.name, "tune"))
    published = space.wait("publish was created", lambda: space.get("job", "tune-publish-1"))
    owner = space.get("finetunejob", "tune")
    assert owner
    assert [reference["uid"] for reference in published["metadata"]["ownerReferences"]] == [owner["metadata"]["uid"]]
    stages = {job["metadata"]["name"] for job in space.list("jobs", "finetune.dev/job=tune")}
    assert stages == {"tune-prepare-1", "tune-train-1", "tune-publish-1"}
    model = space.wait("the model is registered", lambda: space.get("finetunedmodel", "tune"))
    assert model["spec"]["source"]["claim"]["name"] == "tune-model"
    assert owner["status"]["observedGeneration"] == owner["metadata"]["generation"]
    assert not [line for line in operator.lines() if "traceback" in line]


def test_a_child_that_is_deleted_in_between_comes_back(space: Space, start: Start) -> None:
    """A config map that somebody deletes while a stage waits is there again for the next stage."""
    start()
    space.apply(simulated_job(space.name, "tune", train={"kwok.finetune.dev/run-for": "4s"}))
    space.wait("train runs", lambda: space.get("job", "tune-train-1"))
    space.kubectl("delete", "configmap", "tune-run")
    space.wait("publish was created", lambda: space.get("job", "tune-publish-1"))
    assert space.get("configmap", "tune-run")


def test_it_leaves_within_seconds_and_hands_over(space: Space, start: Start) -> None:
    """After SIGTERM the next operator leads at once; a standby is ready all the time."""
    first = start("operator-a")
    space.wait("the first leads", first.leads)
    second = start("operator-b")
    space.wait("the second stands by", lambda: (ready := second.get("/readyz")) and ready.status_code == 200)
    assert not second.leads()
    assert first.terminate() < lease.DURATION
    space.wait("the second leads", second.leads, seconds=lease.DURATION)
    assert first.process.returncode == 0


def test_metrics(space: Space, start: Start) -> None:
    """Names without a label that could hold an object's name; liveness and readiness on the same port."""
    operator = start()
    space.wait("it leads", operator.leads)
    space.apply(simulated_job(space.name, "tune"))
    space.wait("prepare was created", lambda: space.get("job", "tune-prepare-1"))
    page, health = operator.get("/metrics"), operator.get("/healthz")
    assert page
    assert health
    assert health.text == "ok\n"
    assert 'finetune_operator_reconcile_total{kind="' in page.text
    assert "finetune_operator_queue_depth" in page.text
    assert "finetune_operator_watches_down 0.0" in page.text
    assert "finetune_jobs{" in page.text
    assert space.name not in page.text


def test_only_the_chosen_namespaces(space: Space, start: Start) -> None:
    """With a list of namespaces nothing happens in another."""
    start(FINETUNE_WATCH_NAMESPACES=space.name)
    space.kubectl("create", "namespace", f"{space.name}-other")
    other = Space(space.plane, f"{space.name}-other")
    other.apply(simulated_job(other.name, "tune"))
    space.apply(simulated_job(space.name, "tune"))
    space.wait("prepare was created", lambda: space.get("job", "tune-prepare-1"))
    ignored = other.get("finetunejob", "tune")
    assert ignored
    assert "status" not in ignored
    assert other.list("jobs") == []
    other.kubectl("delete", "namespace", other.name, "--wait=false")


def test_what_is_somebody_elses_stays_so(space: Space, start: Start) -> None:
    """A config map of the name that a job needs is neither changed nor adopted, and the operator says so."""
    metadata = {"name": "tune-run", "namespace": space.name}
    space.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"mine": "yes"}})
    operator = start()
    space.apply(simulated_job(space.name, "tune"))
    space.wait("the log says so", lambda: operator.said("ConfigMap", "tune-run", "belongs to"))
    found = space.get("configmap", "tune-run")
    assert found
    assert found["data"] == {"mine": "yes"}
    assert "ownerReferences" not in found["metadata"]
    space.wait("the status says so", lambda: "tune-run" in json.dumps((space.get("finetunejob", "tune") or {}).get("status")))
    space.kubectl("delete", "configmap", "tune-run")
    space.wait("it goes on", lambda: space.get("job", "tune-prepare-1"))


def test_two_jobs_that_make_one_model(space: Space, start: Start) -> None:
    """The second waits for the first by name; a model made by hand meanwhile takes the first one's name and nothing else."""
    start()
    space.apply(simulated_job(space.name, "first", output={"model": "bot"}, train={"kwok.finetune.dev/run-for": "6s"}))
    space.wait("train runs", lambda: space.get("job", "first-train-1"))
    space.apply(simulated_job(space.name, "second", output={"model": "bot"}))
    space.wait(
        "the second waits", lambda: space.phases()["Pending"] == 1 and "OutputContested" in json.dumps(space.get("finetunejob", "second"))
    )
    assert "FineTuneJob first also creates FineTunedModel bot" in json.dumps(space.get("finetunejob", "second"))
    assert space.list("jobs", "finetune.dev/job=second") == []
    space.apply(model(space.name, "bot"))
    kept = space.wait("the first one's model is registered", lambda: space.get("finetunedmodel", "bot-from-first"))
    claim = kept["spec"]["source"]["claim"]["name"]
    found = space.wait("it owns its volume", lambda: _owned(space.get("pvc", claim), kept["metadata"]["uid"]))
    assert found["metadata"]["labels"]["finetune.dev/model"] == "bot-from-first"
    assert space.kubectl("get", "events", "--field-selector", "reason=OutputRenamed", "-o", "name")


def _owned(claim: Object | None, uid: str) -> Object | None:
    owners = claim["metadata"].get("ownerReferences", []) if claim else []
    return claim if [owner["uid"] for owner in owners] == [uid] else None
