"""Every pod that the operator makes passes the restricted pod security standard."""

from typing import Any

import pytest

from finetune_api.resources.common import PodSettings
from finetune_api.resources.finetune_job_status import StageName
from finetune_api.resources.finetuned_model import ClaimSource
from finetune_api.resources.model_deployment import Revision
from finetune_operator.build.inspect_job import inspect_job_object
from finetune_operator.build.server import Rollout, deployment_object
from finetune_operator.build.stage_job import StageRun, stage_job_object
from tests.unit.operator.samples import JOB_UID, SETTINGS, deployment, meta, spec

pytestmark = pytest.mark.unit

ALLOWED_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def violations(pod: dict[str, Any]) -> list[str]:
    """What https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted refuses in a pod spec."""
    found = [f"{field} is set" for field in ("hostNetwork", "hostPID", "hostIPC") if pod.get(field)]
    found += [f"volume {v['name']}" for v in pod["volumes"] if not (v.keys() - {"name"}) <= ALLOWED_VOLUMES]
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        own, shared = container.get("securityContext", {}), pod.get("securityContext", {})
        name = container["name"]
        if own.get("privileged") or own.get("allowPrivilegeEscalation") is not False:
            found.append(f"{name}: may gain privileges")
        if own.get("capabilities", {}).get("drop") != ["ALL"] or set(own.get("capabilities", {}).get("add", [])) - {"NET_BIND_SERVICE"}:
            found.append(f"{name}: capabilities")
        if own.get("runAsNonRoot", shared.get("runAsNonRoot")) is not True or own.get("runAsUser", shared.get("runAsUser")) == 0:
            found.append(f"{name}: may run as root")
        if own.get("seccompProfile", shared.get("seccompProfile", {})).get("type") not in ("RuntimeDefault", "Localhost"):
            found.append(f"{name}: seccomp")
        found += [f"{name}: hostPort" for port in container.get("ports", []) if port.get("hostPort")]
    return found


def stage(name: StageName) -> dict[str, Any]:
    run = StageRun(meta("tune", JOB_UID), spec(), name, 1, "image", model_volume="tune-model")
    pod: dict[str, Any] = stage_job_object(run, SETTINGS)["spec"]["template"]["spec"]
    return pod


def inspection() -> dict[str, Any]:
    pod: dict[str, Any] = inspect_job_object(meta("bot"), ClaimSource(name="c"), 1, SETTINGS, PodSettings())["spec"]["template"]["spec"]
    return pod


def server() -> dict[str, Any]:
    wanted = deployment().spec
    assert wanted is not None
    revision = Revision(model="bot", model_uid="u", image="i", spec_generation=1)
    rollout = Rollout(meta("web"), wanted, revision, "digest", ClaimSource(name="c"), "uid-c", "one-node")
    pod: dict[str, Any] = deployment_object(rollout, SETTINGS)["spec"]["template"]["spec"]
    return pod


PODS = [stage("prepare"), stage("train"), stage("publish"), inspection(), server()]
IDS = ["prepare", "train", "publish", "inspect", "server"]


@pytest.mark.parametrize("pod", PODS, ids=IDS)
def test_a_pod_passes_the_restricted_standard(pod: dict[str, Any]) -> None:
    """No right that it does not need; nothing of the node."""
    assert violations(pod) == []


@pytest.mark.parametrize("pod", PODS, ids=IDS)
def test_a_pod_holds_no_credentials_and_writes_to_mounts_only(pod: dict[str, Any]) -> None:
    """No token, no service variables; a read-only root with folders for /tmp, HOME and shared memory."""
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert {"/tmp", "/home/finetune", "/dev/shm"} <= mounted.keys()
    assert {mounted[path] for path in mounted} == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"hostNetwork": True}, ["hostNetwork is set"]),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, ["volume v"]),
        ({"containers": [{"name": "c", "securityContext": {}}]}, ["c: may gain privileges", "c: capabilities"]),
    ],
)
def test_the_rules_catch_what_they_are_for(change: dict[str, Any], expected: list[str]) -> None:
    """A check that finds nothing is worth nothing."""
    assert violations({**stage("train"), **change}) == expected
