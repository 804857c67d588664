"""Deployment and Service of a ModelDeployment."""

import json
from dataclasses import replace
from typing import Any

import pytest

from finetune_api.engines import ENGINES, EngineFacts
from finetune_api.resources.finetuned_model import ClaimSource
from finetune_api.resources.model_deployment import Revision
from finetune_operator.build.server import Reach, Rollout, deployment_object, service_object
from tests.unit.operator.build.expected import (
    CONTAINER_SECURITY,
    MANAGED,
    OWNER,
    POD_SECURITY,
    SCRATCH_ENV,
    SCRATCH_MOUNTS,
    SCRATCH_VOLUMES,
)
from tests.unit.operator.samples import SETTINGS, deployment, meta

pytestmark = pytest.mark.unit


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
    monkeypatch.setitem(ENGINES, "toy", EngineFacts("toy", artifact="safetensors", needs="output", gpus=2))
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
