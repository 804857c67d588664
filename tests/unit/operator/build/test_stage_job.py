"""The Jobs of the stages."""

from dataclasses import replace
from typing import Any

import pytest

from finetune_api.resources.finetune_job_status import StageName
from finetune_operator.build.sources import field_naming
from finetune_operator.build.stage_job import StageRun, stage_job_object
from finetune_operator.build.stages import STAGES
from tests.unit.operator.build.expected import (
    CONTAINER_SECURITY,
    MANAGED,
    OWNER,
    POD_SECURITY,
    SCRATCH_ENV,
    SCRATCH_MOUNTS,
    SCRATCH_VOLUMES,
    container,
    pod,
    stage,
)
from tests.unit.operator.samples import JOB_UID, SETTINGS, meta, spec

pytestmark = pytest.mark.unit


def test_the_train_job() -> None:
    """Indexed, one pod a node, no retries of its own; every failure fails it and names its exit code."""
    training = {"nodes": 2, "gpusPerNode": 4, "resources": {"limits": {"memory": "64Gi"}}}
    labels = {**MANAGED, "finetune.dev/job": "tune", "finetune.dev/stage": "train", "finetune.dev/attempt": "2"}
    wanted = spec(training=training, workspace={"storage": {"accessMode": "ReadWriteMany"}}, queueName="gpus")
    assert stage("train", wanted) == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "tune-train-2",
            "namespace": "team",
            "labels": {**labels, "kueue.x-k8s.io/queue-name": "gpus"},
            "ownerReferences": [OWNER],
        },
        "spec": {
            "backoffLimit": 0,
            "completionMode": "Indexed",
            "completions": 2,
            "parallelism": 2,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {"action": "FailJob", "onExitCodes": {"containerName": "trainer", "operator": "NotIn", "values": [0]}},
                ]
            },
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never",
                    "subdomain": "tune-train",
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": 120,
                    "securityContext": POD_SECURITY,
                    "volumes": [
                        *SCRATCH_VOLUMES,
                        {"name": "run-config", "configMap": {"name": "tune-run"}},
                        {"name": "workspace", "persistentVolumeClaim": {"claimName": "tune-workspace"}},
                        {"name": "source-base", "persistentVolumeClaim": {"claimName": "models"}},
                    ],
                    "containers": [
                        {
                            "name": "trainer",
                            "image": "image:1",
                            "imagePullPolicy": "IfNotPresent",
                            "args": [
                                "train", "--run", "/etc/finetune/run.json", "--attempt", "2",
                                "--node-rank", "$(JOB_COMPLETION_INDEX)", "--master", "tune-train-2-0.tune-train:29400",
                            ],
                            "env": [
                                *SCRATCH_ENV,
                                {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                                {"name": "AWS_EC2_METADATA_DISABLED", "value": "true"},
                            ],
                            "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "64Gi", "nvidia.com/gpu": "4"}},
                            "securityContext": CONTAINER_SECURITY,
                            "terminationMessagePolicy": "FallbackToLogsOnError",
                            "volumeMounts": [
                                *SCRATCH_MOUNTS,
                                {"name": "run-config", "mountPath": "/etc/finetune", "readOnly": True},
                                {"name": "workspace", "mountPath": "/workspace"},
                                {"name": "source-base", "mountPath": "/sources/base", "readOnly": True},
                            ],
                        }
                    ],
                },
            },
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("resources", "cores"),
    [
        ({}, None),
        ({"requests": {"memory": "1Gi"}}, None),
        ({"requests": {"cpu": "1500m"}}, "3"),
        ({"requests": {"cpu": 2}, "limits": {"cpu": "4"}}, "4"),
    ],
)
@pytest.mark.parametrize(("name", "field"), [("prepare", "preparation"), ("train", "training"), ("publish", "publishing")])
def test_a_stage_hears_what_cores_it_may_use(name: StageName, field: str, resources: dict[str, Any], cores: str | None) -> None:
    """Its limit, or twice its request where it has none: libraries would count the node's cores."""
    env = {variable["name"]: variable.get("value") for variable in container(name, spec(**{field: {"resources": resources}}))["env"]}
    assert env.get("FINETUNE_CPUS") == cores


@pytest.mark.parametrize("name", ["prepare", "train", "publish"])
def test_the_node_s_role_is_the_administrator_s_to_give(name: StageName) -> None:
    """A job cannot use it, whatever its pod.env sets, unless the chart value allows it for all jobs."""
    variable = "AWS_EC2_METADATA_DISABLED"
    pods = {"preparation": {"pod": {"env": [{"name": variable, "value": "false"}]}}, "training": {}, "publishing": {}}
    run = StageRun(meta("tune", JOB_UID), spec(**pods), name, 1, "registry/trainer:1")
    for allowed, expected in ((False, "true"), (True, "false" if name == "prepare" else None)):
        job = stage_job_object(run, replace(SETTINGS, instance_credentials=allowed))
        env = {found["name"]: found.get("value") for found in job["spec"]["template"]["spec"]["containers"][0]["env"]}
        assert env.get(variable) == expected


def test_prepare_gets_the_credentials_and_the_rows() -> None:
    """Under a prefix for each source; no other stage sees them, but training and publish those of the trackers."""
    assert container("prepare")["envFrom"] == [{"prefix": "FINETUNE_TRAIN_", "secretRef": {"name": "s3"}}]
    assert "envFrom" not in container("train")
    tracked = spec(tracking={"mlflow": {"uri": "https://mlflow.example.com", "credentials": {"secretRef": {"name": "mlflow"}}}})
    assert container("train", tracked)["envFrom"] == [{"prefix": "FINETUNE_MLFLOW_", "secretRef": {"name": "mlflow"}}]
    optional = [{"prefix": "FINETUNE_MLFLOW_", "secretRef": {"name": "mlflow", "optional": True}}]
    assert container("publish", tracked)["envFrom"] == optional, "a Secret that is deleted after the training costs no model"
    assert "envFrom" not in container("publish")
    assert [variables["prefix"] for variables in container("prepare", tracked)["envFrom"]] == ["FINETUNE_TRAIN_"]
    assert field_naming(tracked, "Secret mlflow") == "tracking.mlflow.credentials.secretRef.name"
    both = spec(tracking={name: {"credentials": {"secretRef": {"name": f"{name}-key"}}} for name in ("mlflow", "wandb")})
    assert container("train", both)["envFrom"] == [
        {"prefix": "FINETUNE_MLFLOW_", "secretRef": {"name": "mlflow-key"}},
        {"prefix": "FINETUNE_WANDB_", "secretRef": {"name": "wandb-key"}},
    ]
    assert field_naming(both, "Secret wandb-key") == "tracking.wandb.credentials.secretRef.name"
    rows = spec(dataset={"train": {"source": "configmap://rows/train.jsonl"}, "validation": {"source": "pvc://data/held/out.jsonl"}})
    volumes = {volume["name"]: volume for volume in pod("prepare", rows)["volumes"]}
    assert volumes["source-train"]["configMap"] == {"name": "rows", "items": [{"key": "train.jsonl", "path": "train.jsonl"}]}
    assert volumes["source-validation"]["persistentVolumeClaim"] == {"claimName": "data"}
    assert not {"source-train", "source-validation"} & {volume["name"] for volume in pod("publish", rows)["volumes"]}


def test_every_stage_has_the_credentials_of_the_checkpoints_store() -> None:
    """prepare tries it, the training copies, publish deletes the copies, and starts without: the model is worth more."""
    stored = spec(checkpoints={"store": {"uri": "gs://safe/team", "credentials": {"secretRef": {"name": "gcs"}}}})
    theirs = {"prefix": "FINETUNE_CHECKPOINTS_", "secretRef": {"name": "gcs"}}
    assert container("prepare", stored)["envFrom"][1:] == [theirs]
    assert container("train", stored)["envFrom"] == [theirs]
    assert container("publish", stored)["envFrom"] == [{**theirs, "secretRef": {"name": "gcs", "optional": True}}]
    assert field_naming(stored, "Secret gcs") == "checkpoints.store.credentials.secretRef.name"
    assert "envFrom" not in container("train", spec(checkpoints={"store": {"uri": "gs://safe/team"}})), "the pod's own identity"


def test_publish_writes_the_model_volume() -> None:
    """At /model, and has its own GPUs."""
    publish = container("publish", spec(publishing={"gpus": 1}))
    assert {"name": "model", "mountPath": "/model"} in publish["volumeMounts"]
    assert publish["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert publish["args"] == ["publish", "--run", "/etc/finetune/run.json", "--attempt", "2"]


def test_a_claim_that_is_used_twice_is_one_volume() -> None:
    """Two volumes of one claim in a pod are not mounted by every kubelet."""
    rows = spec(dataset={"train": {"source": "pvc://models/train.jsonl"}}, workspace={"claimName": "models"})
    found = pod("prepare", rows)
    assert [v["persistentVolumeClaim"]["claimName"] for v in found["volumes"] if "persistentVolumeClaim" in v] == ["models"]
    mounts = {mount["mountPath"]: (mount["name"], mount.get("readOnly", False)) for mount in found["containers"][0]["volumeMounts"]}
    assert (mounts["/workspace"], mounts["/sources/train"], mounts["/sources/base"]) == (
        ("workspace", False), ("workspace", True), ("workspace", True),
    )  # fmt: skip


EVERY_POD_FIELD: dict[str, Any] = {
    "image": "mine:1", "serviceAccountName": "trainer", "labels": {"team": "a", "finetune.dev/job": "stolen"},
    "annotations": {"note": "b"}, "nodeSelector": {"pool": "gpu"}, "priorityClassName": "high", "runtimeClassName": "gvisor",
    "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}], "schedulerName": "volcano",
    "imagePullSecrets": [{"name": "registry"}], "env": [{"name": "HF_HOME", "value": "/tmp/hf"}, {"name": "NCCL_DEBUG", "value": "INFO"}],
    "envFrom": [{"configMapRef": {"name": "nccl"}, "prefix": "N_"}], "fsGroup": 2000,
}  # fmt: skip


def test_every_pod_field_is_honoured_and_none_takes_over_ours() -> None:
    """The user's label cannot claim another job's pod."""
    template = stage("train", spec(training={"pod": EVERY_POD_FIELD}))["spec"]["template"]
    found, main = template["spec"], template["spec"]["containers"][0]
    assert template["metadata"]["annotations"] == {"note": "b"}
    assert (template["metadata"]["labels"]["team"], template["metadata"]["labels"]["finetune.dev/job"]) == ("a", "tune")
    assert {key: found[key] for key in ("serviceAccountName", "priorityClassName", "runtimeClassName", "schedulerName")} == {
        "serviceAccountName": "trainer", "priorityClassName": "high", "runtimeClassName": "gvisor", "schedulerName": "volcano",
    }  # fmt: skip
    assert found["nodeSelector"] == {"pool": "gpu"}
    assert found["tolerations"] == [{"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}]
    assert (found["imagePullSecrets"], found["securityContext"]["fsGroup"]) == ([{"name": "registry"}], 2000)
    assert (main["image"], main["envFrom"]) == ("mine:1", [{"configMapRef": {"name": "nccl"}, "prefix": "N_"}])
    env = {variable["name"]: variable.get("value") for variable in main["env"]}
    assert (env["HF_HOME"], env["NCCL_DEBUG"], env["TMPDIR"]) == ("/tmp/hf", "INFO", "/tmp")


GPU_POOL = {"nodeSelector": {"pool": "gpu"}, "tolerations": [{"key": "gpu", "operator": "Exists"}]}


TOLERATED = [{"key": "gpu", "operator": "Exists"}]


ZONE, NODE = {"topology.kubernetes.io/zone": "a"}, {"kubernetes.io/hostname": "n1"}


def and_selects(labels: dict[str, str]) -> dict[str, Any]:
    return {**GPU_POOL, "nodeSelector": {"pool": "gpu", **labels}}


@pytest.mark.parametrize(
    ("stage_name", "training", "own", "storage", "selector", "tolerations"),
    [
        ("prepare", GPU_POOL, {"disk": "ssd"}, "ReadWriteOnce", {"disk": "ssd"}, None),
        ("prepare", and_selects(ZONE), {"disk": "ssd"}, "ReadWriteOnce", {"disk": "ssd", **ZONE}, None),
        ("prepare", and_selects(ZONE), {"topology.kubernetes.io/zone": "b"}, "ReadWriteOnce", {"topology.kubernetes.io/zone": "b"}, None),
        ("prepare", and_selects(NODE), {}, "ReadWriteOnce", {"pool": "gpu", **NODE}, TOLERATED),
        ("prepare", and_selects(ZONE), {}, "ReadWriteMany", None, None),
        ("publish", GPU_POOL, {"disk": "ssd"}, "ReadWriteOnce", {"pool": "gpu", "disk": "ssd"}, TOLERATED),
        ("publish", GPU_POOL, {}, "ReadWriteMany", None, None),
    ],
)
def test_where_a_stage_runs(
    stage_name: StageName,
    training: dict[str, Any],
    own: dict[str, str],
    storage: str,
    selector: dict[str, str] | None,
    tolerations: list[dict[str, str]] | None,
) -> None:
    """prepare needs no node of the training, only its zone where it names one; publish goes where the volume of the training is."""
    field = {"prepare": "preparation", "publish": "publishing"}[stage_name]
    wanted = spec(training={"pod": training}, workspace={"storage": {"accessMode": storage}}, **{field: {"pod": {"nodeSelector": own}}})
    found = pod(stage_name, wanted)
    assert (found.get("nodeSelector"), found.get("tolerations")) == (selector, tolerations)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, {"requests": {"cpu": "100m", "memory": "256Mi"}}),
        ({"requests": {"cpu": 2}}, {"requests": {"cpu": 2, "memory": "256Mi"}}),
        ({"limits": {"cpu": "1"}}, {"requests": {"memory": "256Mi"}, "limits": {"cpu": "1"}}),
        ({"limits": {"cpu": "50m", "memory": "1Gi"}}, {"limits": {"cpu": "50m", "memory": "1Gi"}}),
    ],
)
def test_every_container_requests_something(resources: dict[str, Any], expected: dict[str, Any]) -> None:
    """Quotas and Kueue count requests; a limit is a request where none is given, and no default goes above it."""
    assert container("publish", spec(publishing={"resources": resources}))["resources"] == expected


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "8Gi"}}),
        ({"limits": {"cpu": "1"}}, {"requests": {"memory": "256Mi"}, "limits": {"cpu": "1", "memory": "8Gi"}}),
        ({"requests": {"memory": "16Gi"}}, {"requests": {"cpu": "100m", "memory": "16Gi"}}),
        ({"limits": {"memory": "1Gi"}}, {"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}}),
    ],
)
def test_what_reads_strangers_files_has_a_memory_limit(resources: dict[str, Any], expected: dict[str, Any]) -> None:
    """Of prepare, where the spec says nothing of memory; the request stays small."""
    assert container("prepare", spec(preparation={"resources": resources}))["resources"] == expected


def test_gpus_of_a_stage() -> None:
    """Those of all nodes, for the bill."""
    wanted = spec(training={"nodes": 3, "gpusPerNode": 8}, publishing={"gpus": 1}, workspace={"claimName": "shared"})
    assert [stage.gpus(wanted) for stage in STAGES.values()] == [0, 24, 1]
