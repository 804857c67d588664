"""Claims, Service, FineTunedModel and inspect Job."""

import pytest

from finetune_api.resources.common import PodSettings, VolumeClaim
from finetune_api.resources.finetuned_model import ClaimSource
from finetune_operator.build.claim import model_claim_object, model_volume_size, workspace_claim_object
from finetune_operator.build.inspect_job import inspect_job_object
from finetune_operator.build.model import model_object
from finetune_operator.build.service import train_service_object
from tests.unit.operator.build.expected import MANAGED, META, OWNER
from tests.unit.operator.samples import JOB_UID, SETTINGS, meta, spec

pytestmark = pytest.mark.unit


def test_the_workspace_claim() -> None:
    """Ends with the job."""
    storage = VolumeClaim(storage_class_name="fast", access_mode="ReadWriteMany")
    assert workspace_claim_object(META, storage, "20Gi") == {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": "tune-workspace", "namespace": "team", "labels": {**MANAGED, "finetune.dev/job": "tune"}, "ownerReferences": [OWNER],
        },
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": "20Gi"}},
            "storageClassName": "fast",
        },
    }  # fmt: skip


def test_the_model_claim_of_a_registered_model() -> None:
    """Owned by the model alone, and marked for the guard."""
    labels = {"finetune.dev/job": "tune", "finetune.dev/model": "bot"}
    found = model_claim_object("FineTunedModel", meta("bot"), "bot-model", labels, VolumeClaim(), "2Gi")
    assert found["metadata"] == {
        "name": "bot-model",
        "namespace": "team",
        "labels": {**MANAGED, "finetune.dev/job": "tune", "finetune.dev/model": "bot"},
        "ownerReferences": [{**OWNER, "kind": "FineTunedModel", "name": "bot", "uid": "uid-bot"}],
    }
    assert found["spec"] == {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}}


@pytest.mark.parametrize(
    ("size", "model_bytes", "expected"),
    [(None, None, "1Gi"), (None, 1, "1Gi"), (None, 1024**3, "2Gi"), (None, 5 * 1024**3, "6Gi"), ("9Gi", 5 * 1024**3, "9Gi")],
)
def test_the_model_volume_is_a_fifth_larger_than_the_estimate(size: str | None, model_bytes: int | None, expected: str) -> None:
    """In whole Gi; the size asked for goes before it."""
    assert model_volume_size(VolumeClaim(size=size), model_bytes) == expected


def test_the_train_service() -> None:
    """Headless, and resolves before the ranks are ready."""
    assert train_service_object(META)["spec"] == {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": {"finetune.dev/job": "tune", "finetune.dev/stage": "train"},
        "ports": [{"name": "rendezvous", "port": 29400, "protocol": "TCP"}],
    }


def test_the_model() -> None:
    """No owner; annotations name the job and the digest of its spec. Labels: output.labels and our own."""
    found = model_object(META, spec(output={"model": "bot", "labels": {"team.example/cost": "nlp", "app": "bot"}}), "bot", "bot-model")
    labels = {**MANAGED, "finetune.dev/job": "tune", "team.example/cost": "nlp", "app": "bot"}
    digest = found["metadata"]["annotations"].pop("finetune.dev/spec-digest")
    assert len(digest) == 64
    assert found == {
        "apiVersion": "finetune.dev/v1alpha1",
        "kind": "FineTunedModel",
        "metadata": {"name": "bot", "namespace": "team", "labels": labels, "annotations": {"finetune.dev/job-uid": JOB_UID}},
        "spec": {
            "task": "chat",
            "type": "adapter",
            "base": {"source": "pvc://models/smol"},
            "source": {"claim": {"name": "bot-model", "path": ""}},
        },
    }


@pytest.mark.parametrize(("method", "expected"), [("lora", "adapter"), ("qlora", "adapter"), ("ia3", "adapter"), ("full", "full")])
def test_the_type_of_the_model(method: str, expected: str) -> None:
    """What was trained: an adapter, or all weights."""
    assert model_object(META, spec(method={"type": method}), "bot", "bot-model")["spec"]["type"] == expected


def test_the_inspect_job() -> None:
    """Reads the claim, writes nothing."""
    found = inspect_job_object(meta("bot"), ClaimSource(name="shelf", path="models/bot"), 3, SETTINGS, PodSettings())
    labels = {**MANAGED, "finetune.dev/model": "bot", "finetune.dev/stage": "inspect", "finetune.dev/attempt": "3"}
    assert (found["metadata"]["name"], found["metadata"]["labels"]) == ("bot-inspect-3", labels)
    (main,) = found["spec"]["template"]["spec"]["containers"]
    assert (main["image"], main["args"]) == ("registry/trainer:1", ["inspect", "--model-dir", "/model/models/bot"])
    assert {"name": "model", "mountPath": "/model", "readOnly": True} in main["volumeMounts"]
