"""The manifests, exactly."""

import json
from dataclasses import replace
from typing import Any

import pytest

from finetune_api.engines import ENGINES, Engine
from finetune_api.resources.common import Pod, VolumeClaim
from finetune_api.resources.finetune_job import FineTuneJobSpec
from finetune_api.resources.finetune_job_status import StageName
from finetune_api.resources.finetuned_model import ClaimSource
from finetune_api.resources.model_deployment import Revision
from finetune_api.run_config import RunConfig
from finetune_operator.build.claim import model_claim_object, model_volume_size, workspace_claim_object
from finetune_operator.build.config_map import run_config_map_object
from finetune_operator.build.inspect_job import inspect_job_object
from finetune_operator.build.model import model_object
from finetune_operator.build.run_config import run_config
from finetune_operator.build.server import Reach, Rollout, deployment_object, service_object
from finetune_operator.build.service import train_service_object
from finetune_operator.build.stage_job import StageRun, stage_job_object
from finetune_operator.build.stages import STAGES
from tests.unit.operator.samples import JOB_UID, SETTINGS, deployment, meta, spec

pytestmark = pytest.mark.unit

META = meta("tune", JOB_UID)
OWNER = {
    "apiVersion": "finetune.dev/v1alpha1", "kind": "FineTuneJob", "name": "tune", "uid": JOB_UID, "controller": True,
    "blockOwnerDeletion": True,
}  # fmt: skip
MANAGED = {"app.kubernetes.io/managed-by": "finetune-operator"}
POD_SECURITY = {
    "runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532, "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip
CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip
SCRATCH_ENV = [
    {"name": "HOME", "value": "/home/finetune"},
    {"name": "TMPDIR", "value": "/tmp"},
    {"name": "XDG_CACHE_HOME", "value": "/home/finetune/.cache"},
    {"name": "HF_HOME", "value": "/home/finetune/.cache/huggingface"},
    {"name": "TORCH_HOME", "value": "/home/finetune/.cache/torch"},
    {"name": "TORCHINDUCTOR_CACHE_DIR", "value": "/home/finetune/.cache/torchinductor"},
    {"name": "TRITON_CACHE_DIR", "value": "/home/finetune/.cache/triton"},
    {"name": "MPLCONFIGDIR", "value": "/home/finetune/.cache/matplotlib"},
    {"name": "PYTHONUNBUFFERED", "value": "1"},
]
SCRATCH_VOLUMES = [
    {"name": "tmp", "emptyDir": {}},
    {"name": "home", "emptyDir": {}},
    {"name": "shm", "emptyDir": {"medium": "Memory"}},
]
SCRATCH_MOUNTS = [
    {"name": "tmp", "mountPath": "/tmp"},
    {"name": "home", "mountPath": "/home/finetune"},
    {"name": "shm", "mountPath": "/dev/shm"},
]


def stage(name: StageName, wanted: FineTuneJobSpec | None = None, base: ClaimSource | None = None) -> dict[str, Any]:
    return stage_job_object(StageRun(META, wanted or spec(), name, 2, "image:1", base, "tune-model"), SETTINGS)


def pod(name: StageName, wanted: FineTuneJobSpec | None = None, base: ClaimSource | None = None) -> dict[str, Any]:
    found: dict[str, Any] = stage(name, wanted, base)["spec"]["template"]["spec"]
    return found


def container(name: StageName, wanted: FineTuneJobSpec | None = None) -> dict[str, Any]:
    found: dict[str, Any] = pod(name, wanted)["containers"][0]
    return found


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
                            "env": [*SCRATCH_ENV, {"name": "AWS_EC2_METADATA_DISABLED", "value": "true"}],
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
    env = {variable["name"]: variable["value"] for variable in container(name, spec(**{field: {"resources": resources}}))["env"]}
    assert env.get("FINETUNE_CPUS") == cores


@pytest.mark.parametrize("name", ["prepare", "train", "publish"])
def test_the_node_s_role_is_the_administrator_s_to_give(name: StageName) -> None:
    """A job cannot use it, whatever its pod.env sets, unless the chart value allows it for all jobs."""
    variable = "AWS_EC2_METADATA_DISABLED"
    pods = {"preparation": {"pod": {"env": [{"name": variable, "value": "false"}]}}, "training": {}, "publishing": {}}
    run = StageRun(meta("tune", JOB_UID), spec(**pods), name, 1, "registry/trainer:1")
    for allowed, expected in ((False, "true"), (True, "false" if name == "prepare" else None)):
        job = stage_job_object(run, replace(SETTINGS, instance_credentials=allowed))
        env = {found["name"]: found["value"] for found in job["spec"]["template"]["spec"]["containers"][0]["env"]}
        assert env.get(variable) == expected


def test_prepare_gets_the_credentials_and_the_rows() -> None:
    """Under a prefix for each source; no other stage sees them."""
    assert container("prepare")["envFrom"] == [{"prefix": "FINETUNE_TRAIN_", "secretRef": {"name": "s3"}}]
    assert "envFrom" not in container("train")
    rows = spec(dataset={"train": {"source": "configmap://rows/train.jsonl"}, "validation": {"source": "pvc://data/held/out.jsonl"}})
    volumes = {volume["name"]: volume for volume in pod("prepare", rows)["volumes"]}
    assert volumes["source-train"]["configMap"] == {"name": "rows", "items": [{"key": "train.jsonl", "path": "train.jsonl"}]}
    assert volumes["source-validation"]["persistentVolumeClaim"] == {"claimName": "data"}
    assert not {"source-train", "source-validation"} & {volume["name"] for volume in pod("publish", rows)["volumes"]}


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
    env = {variable["name"]: variable["value"] for variable in main["env"]}
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


# ---- the run config


def config(wanted: FineTuneJobSpec, base: ClaimSource | None = None) -> RunConfig:
    return run_config(META, wanted, "image:1", base, SETTINGS)


@pytest.mark.parametrize(
    ("source", "uri"),
    [
        ("pvc://data/a/train.jsonl", "/sources/train/a/train.jsonl"),
        ("configmap://rows/train.jsonl", "/sources/train/train.jsonl"),
        ("s3://bucket/train.jsonl", "s3://bucket/train.jsonl"),
        ("gs://bucket/train.jsonl", "gs://bucket/train.jsonl"),
        ("abfs://rows@account.dfs.core.windows.net/train.jsonl", "abfs://rows@account.dfs.core.windows.net/train.jsonl"),
        ("hf://datasets/owner/name@v1/train.jsonl", "hf://datasets/owner/name@v1/train.jsonl"),
        ("https://example.com/train.jsonl", "https://example.com/train.jsonl"),
    ],
)
def test_sources_are_paths_in_the_pod(source: str, uri: str) -> None:
    """Messages show what the user wrote."""
    found = config(spec(dataset={"train": {"source": source}})).dataset.train
    assert (found.uri, found.shown_as, found.env_prefix) == (uri, source, "")


@pytest.mark.parametrize("source", ["s3://bucket/k", "gs://bucket/k", "abfs://rows/k", "hf://datasets/o/n/k", "https://example.com/k"])
def test_stores_and_servers_need_credentials_and_no_mount(source: str) -> None:
    """The Secret's keys become variables of prepare with a prefix that the run config names; nothing is mounted for it."""
    wanted = spec(dataset={"train": {"source": source, "credentials": {"secretRef": {"name": "keys"}}}})
    assert config(wanted).dataset.train.env_prefix == "FINETUNE_TRAIN_"
    assert container("prepare", wanted)["envFrom"] == [{"prefix": "FINETUNE_TRAIN_", "secretRef": {"name": "keys"}}]
    assert "source-train" not in {mount["name"] for mount in container("prepare", wanted)["volumeMounts"]}


def test_a_signed_address_is_shown_without_its_signature() -> None:
    """Status and model card are read by more people than may read the data."""
    found = config(spec(dataset={"train": {"source": "https://example.com/k?sig=abc"}})).dataset.train
    assert (found.uri, found.shown_as) == ("https://example.com/k?sig=abc", "https://example.com/k?...")


def test_what_the_administrator_allows_reaches_the_pods() -> None:
    """By the run config; a spec has no field for it."""
    assert run_config(META, spec(), "image:1", None, replace(SETTINGS, allowed_private=("10.0.0.0/8",))).network.allowed_private == [
        "10.0.0.0/8"
    ]
    assert config(spec()).network.allowed_private == []


def test_the_run_config_of_a_spec() -> None:
    """Defaults filled in, digest and identity for the lineage, credentials by prefix."""
    found = config(spec())
    assert (found.base.source.uri, found.dataset.train.env_prefix) == ("/sources/base/smol", "FINETUNE_TRAIN_")
    assert (found.job.uid, found.output_model, found.image, found.paths.workspace) == (JOB_UID, "tune", "image:1", "/workspace")
    assert (found.world.nodes, found.world.processes_per_node) == (1, 1)
    assert (found.limits.start_deadline, found.limits.stall_timeout) == (900, 1800)
    written = run_config_map_object(META, found)
    assert RunConfig.from_json(written["data"]["run.json"]) == found
    assert written["metadata"] == {
        "name": "tune-run", "namespace": "team", "labels": {**MANAGED, "finetune.dev/job": "tune"}, "ownerReferences": [OWNER],
    }  # fmt: skip


@pytest.mark.parametrize(("path", "uri"), [("", "/sources/base"), ("models/a/", "/sources/base/models/a")])
def test_a_fine_tuned_base_is_its_directory(path: str, uri: str) -> None:
    """On its claim, wherever the model says."""
    wanted = spec(base={"fineTunedModel": {"name": "bot"}})
    found = config(wanted, ClaimSource(name="bot-model", path=path)).base
    assert (found.source.uri, found.source.shown_as, found.fine_tuned_model) == (uri, "FineTunedModel bot", "bot")
    with pytest.raises(ValueError, match="FineTunedModel bot"):
        config(wanted)


def test_a_shared_workspace_claim_has_a_folder_for_each_job() -> None:
    """Two jobs on one claim never meet, not even two of one name."""
    assert config(spec(workspace={"claimName": "shared"})).paths.workspace == "/workspace/tune-11111111"


# ---- volumes, Service, model


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


def test_the_inspect_job() -> None:
    """Reads the claim, writes nothing."""
    found = inspect_job_object(meta("bot"), ClaimSource(name="shelf", path="models/bot"), 3, SETTINGS, Pod())
    labels = {**MANAGED, "finetune.dev/model": "bot", "finetune.dev/stage": "inspect", "finetune.dev/attempt": "3"}
    assert (found["metadata"]["name"], found["metadata"]["labels"]) == ("bot-inspect-3", labels)
    (main,) = found["spec"]["template"]["spec"]["containers"]
    assert (main["image"], main["args"]) == ("registry/trainer:1", ["inspect", "--model-dir", "/model/models/bot"])
    assert {"name": "model", "mountPath": "/model", "readOnly": True} in main["volumeMounts"]


# ---- the server

BESIDE = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"finetune.dev/claim-uid": "uid-c"}}}
REVISION = Revision(model="bot", model_uid="u1", image="server:1", spec_generation=1, spec_digest="d")


def rollout(reach: Reach = "one-node", gap: bool = False, **more: Any) -> Rollout:
    wanted = deployment(**more).spec
    assert wanted is not None
    return Rollout(meta("web"), wanted, REVISION, "0123456789abcdef", ClaimSource(name="bot-model"), "uid-c", reach, gap)


def test_the_deployment() -> None:
    """Selected by its own label alone; the pods carry the model's name and uid for the guard."""
    owner = {**OWNER, "kind": "ModelDeployment", "name": "web", "uid": "uid-web"}
    probe = {"periodSeconds": 2, "timeoutSeconds": 5}
    healthz, readyz = {"path": "/healthz", "port": "http"}, {"path": "/readyz", "port": "http"}
    found = deployment_object(rollout(auth={"secretRef": {"name": "keys"}}, maxContext=512), SETTINGS)
    assert json.loads(json.dumps(found)) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "web",
            "namespace": "team",
            "labels": {**MANAGED, "finetune.dev/deployment": "web"},
            "ownerReferences": [owner],
            "annotations": {"finetune.dev/revision": "0123456789abcdef"},
        },
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": 900,
            "minReadySeconds": 3,
            "selector": {"matchLabels": {"finetune.dev/deployment": "web"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {
                    "labels": {
                        **MANAGED,
                        "finetune.dev/deployment": "web",
                        "finetune.dev/model": "bot",
                        "finetune.dev/model-uid": "u1",
                        "finetune.dev/claim-uid": "uid-c",
                    }
                },
                "spec": {
                    "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [BESIDE]}},
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": 80,
                    "securityContext": POD_SECURITY,
                    "volumes": [*SCRATCH_VOLUMES, {"name": "model", "persistentVolumeClaim": {"claimName": "bot-model"}}],
                    "containers": [
                        {
                            "name": "server",
                            "image": "server:1",
                            "imagePullPolicy": "IfNotPresent",
                            "args": [
                                "--model-dir", "/model", "--served-name", "web", "--engine", "onnx", "--precision", "fp32",
                                "--host", "0.0.0.0",
                                "--port", "8080", "--max-concurrency", "8", "--grace", "60", "--max-context", "512",
                            ],
                            "env": [
                                *SCRATCH_ENV,
                                {"name": "FINETUNE_API_KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "api-key"}}},
                                {"name": "FINETUNE_API_KEY_SECRET", "value": "keys"},
                            ],
                            "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
                            "securityContext": CONTAINER_SECURITY,
                            "terminationMessagePolicy": "FallbackToLogsOnError",
                            "volumeMounts": [*SCRATCH_MOUNTS, {"name": "model", "mountPath": "/model", "readOnly": True}],
                            "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                            "startupProbe": {"httpGet": healthz, **probe, "failureThreshold": 150},
                            "readinessProbe": {"httpGet": readyz, **probe, "failureThreshold": 5},
                            "livenessProbe": {"httpGet": healthz, **probe, "periodSeconds": 10, "failureThreshold": 6},
                        }
                    ],
                },
            },
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("reach", "gap", "strategy", "beside"),
    [
        ("many-nodes", False, "RollingUpdate", False),
        ("one-node", False, "RollingUpdate", True),
        ("one-node", True, "Recreate", True),
        ("one-pod", False, "RollingUpdate", True),
        ("one-pod", True, "Recreate", True),
    ],
)
def test_a_rollout_leaves_no_gap(reach: Reach, gap: bool, strategy: str, beside: bool) -> None:
    """The old pod goes when the new one answers, unless it has to go first; pods of a ReadWriteOnce claim share its node."""
    found = deployment_object(rollout(reach, gap, replicas=3), SETTINGS)["spec"]
    assert (
        found["strategy"]
        == {
            "RollingUpdate": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "Recreate": {"type": "Recreate", "rollingUpdate": None},
        }[strategy]
    )
    assert ("affinity" in found["template"]["spec"]) is beside
    assert found["replicas"] == 3


def test_the_engine_decides_what_its_pods_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name is an argument, and its GPUs are a limit beside those of the spec."""
    monkeypatch.setitem(ENGINES, "toy", Engine("toy", artifact="safetensors", needs="output", gpus=2))
    served = rollout(resources={"limits": {"memory": "2Gi"}})
    served = replace(served, spec=served.spec.model_copy(update={"engine": "toy"}))
    (container,) = deployment_object(served, SETTINGS)["spec"]["template"]["spec"]["containers"]
    assert container["args"][container["args"].index("--engine") + 1] == "toy"
    assert container["resources"]["limits"] == {"memory": "2Gi", "nvidia.com/gpu": "2"}


def test_limits_of_a_rollout() -> None:
    """Both come from the spec; a Deployment counts seconds in 32 bits, and a pod has time for the drain before its last answers."""
    found = deployment_object(rollout(progressDeadline="999999h", drainTimeout="5m"), SETTINGS)["spec"]
    assert found["progressDeadlineSeconds"] == 2**31 - 2
    assert found["template"]["spec"]["terminationGracePeriodSeconds"] == 320
    args = found["template"]["spec"]["containers"][0]["args"]
    assert args[args.index("--grace") + 1] == "300"


def test_the_service() -> None:
    """http://web.team.svc without a port."""
    found = service_object(rollout())
    assert found["metadata"]["name"] == "web"
    assert found["spec"] == {
        "selector": {"finetune.dev/deployment": "web"},
        "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP", "appProtocol": "http"}],
    }
