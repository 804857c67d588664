"""Everything that a person can get wrong ends in a status that names the cause and the object within a minute."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.kube import Kube, condition, phase_of
from tests.e2e.manifests import CREDENTIALS, finetune_job

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

ROWS = "\n".join(
    json.dumps({"messages": [{"role": "user", "content": f"question {i}"}, {"role": "assistant", "content": f"answer {i}"}]})
    for i in range(20)
)
BROKEN = ROWS.replace('"role": "assistant", "content": "answer 6"', '"role": "assitant", "content": "answer 6"')


def data(source: str) -> dict[str, Any]:
    """A dataset from that source."""
    return {"train": {"source": source, "credentials": CREDENTIALS if source.startswith("s3") else None}}


# name -> (changes to the spec, what the failure must say); the job fails by itself
FAILS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "missing-file": (
        {"dataset": data("s3://datasets/support-bot/trian.jsonl")},
        ("DataNotFound", "s3://datasets/support-bot/trian.jsonl", "train.jsonl"),
    ),
    "broken-line": ({"dataset": data("configmap://rows/broken.jsonl")}, ("InvalidDataset", "line 7", "assitant")),
    "missing-model": ({"base": {"source": "s3://models/no-such-model"}}, ("BaseModelNotFound", "s3://models/no-such-model")),
    "full-workspace": (
        {"workspace": {"storage": {"size": "20Mi", "storageClassName": "bounded"}}},
        ("StorageFull", "workspace.storage.size"),
    ),
}
# name -> (changes to the spec, what the status must say while the pod cannot start)
WAITS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "missing-secret": ({"base": {"credentials": {"secretRef": {"name": "no-secret"}}}}, ("no-secret",)),
    "missing-claim": ({"dataset": data("pvc://no-claim/train.jsonl")}, ("no-claim",)),
    "missing-config-map": ({"dataset": data("configmap://no-map/rows.jsonl")}, ("no-map",)),
    "missing-image": ({"preparation": {"pod": {"image": "127.0.0.1:5000/no-such-image:1"}}}, ("no-such-image",)),
    "missing-base": ({"base": {"source": None, "credentials": None, "fineTunedModel": {"name": "no-model"}}}, ("no-model",)),
    "missing-class": ({"workspace": {"storage": {"storageClassName": "no-class"}}}, ("no-class",)),
    "busy-claim": ({"workspace": {"claimName": "busy", "storage": {"size": None}}}, ("ReadWriteOncePod",)),
    "no-such-gpus": ({"training": {"gpusPerNode": 16}, "hyperparameters": {"batchSize": 16}}, ("nvidia.com/gpu",)),
}
BUSY = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: busy}
spec: {accessModes: [ReadWriteOncePod], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: holder}
spec:
  securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: holder
    image: IMAGE
    command: [sleep, "3600"]
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    volumeMounts: [{name: busy, mountPath: /busy}]
  terminationGracePeriodSeconds: 0
  volumes: [{name: busy, persistentVolumeClaim: {claimName: busy}}]
"""


@pytest.fixture(scope="module")
def applied(kube: Kube, request: pytest.FixtureRequest) -> Iterator[Kube]:
    """All of them at once: a wrong job must not hold up another, nor the examples, which train meanwhile when they are tested next."""
    if any(item.path.name == "test_examples.py" for item in request.session.items):
        request.getfixturevalue("examples")
    image = kube.run("get", "deployment", "-n", "e2e-s3", "s3", "-o", "jsonpath={.spec.template.spec.containers[0].image}").stdout
    kube.run("apply", "-f", "-", stdin=BUSY.replace("IMAGE", image))
    kube.run("wait", "--for=condition=Ready", "pod/holder", "--timeout=60s")
    kube.run("create", "configmap", "rows", f"--from-literal=broken.jsonl={BROKEN}")
    kube.apply(*(finetune_job(name, **changes) for name, (changes, _) in {**FAILS, **WAITS}.items()))
    yield kube
    kube.run("delete", "finetunejob", "--all")


def says(job: dict[str, Any]) -> str:
    """Everything that the status tells a person."""
    status = job.get("status", {})
    return json.dumps([status.get("error"), condition(job, "Ready"), condition(job, "Failed")], ensure_ascii=False)


@pytest.mark.parametrize("name", WAITS)
def test_a_pod_that_cannot_start_is_explained(applied: Kube, name: str) -> None:
    """Within a minute the status names the object in the way; nothing is Pending without a reason."""
    words = WAITS[name][1]
    found = applied.wait("finetunejob", name, lambda o: all(w in says(o) for w in words), seconds=150, what=f"saying {words}")
    assert phase_of(found) not in ("Succeeded", "")


@pytest.mark.parametrize("name", FAILS)
def test_wrong_input_fails_with_the_cause(applied: Kube, name: str) -> None:
    """Failed, once, with code, place and next step, and without a traceback; the GPU stages never start."""
    found = applied.phase(name, "Failed", seconds=150)
    text = says(found)
    assert all(w in text for w in FAILS[name][1]), text
    assert "Traceback" not in text
    assert len(found["status"]["attempts"]) == 1 and condition(found, "Stalled")["status"] == "True"


def test_the_start_deadline_ends_the_waiting(applied: Kube) -> None:
    """A job whose pod never starts fails at limits.startDeadline and still says why."""
    applied.apply(finetune_job("deadline", base={"credentials": {"secretRef": {"name": "no-secret"}}}, limits={"startDeadline": "20s"}))
    found = applied.phase("deadline", "Failed", seconds=90)
    assert "no-secret" in says(found) and "startDeadline" in says(found)


def test_a_job_goes_on_when_what_it_waits_for_appears(applied: Kube) -> None:
    """A config map that was missing is created: the job needs no change."""
    applied.run("create", "configmap", "no-map", f"--from-literal=rows.jsonl={ROWS}")
    applied.wait(
        "finetunejob", "missing-config-map", lambda o: condition(o, "DatasetValid").get("status") == "True", seconds=180, what="valid"
    )
