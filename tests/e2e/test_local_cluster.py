"""The local cluster itself: what its pods reach, its volumes, its pretended GPUs, and its parts' faults. Needs no image of ours."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.kube import Kube

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "local-cluster" / "cluster.sh"
IMAGE = "python:3.11-slim-bookworm"
NAMESPACE = "e2e-local-cluster"
NODE_ADDRESS = "10.97.0.1"

# Connects and says what came of it: "open", the error's name, and the seconds that it took.
PROBE = """
import errno, json, socket, sys, time
def probe(host, port):
    began = time.monotonic()
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
        outcome = "open"
    except socket.gaierror:
        outcome = "no such name"
    except OSError as error:
        outcome = errno.errorcode.get(error.errno, type(error).__name__)
    return outcome, time.monotonic() - began
print(json.dumps({target: probe(*target.rsplit(":", 1)) for target in sys.argv[1:]}))
"""

REACH = {
    "web:8000": "open",
    f"web.{NAMESPACE}:8000": "open",
    f"web.{NAMESPACE}.svc.cluster.local:8000": "open",
    "kubernetes.default.svc:443": "open",
    f"{NODE_ADDRESS}:53": "open",
    "198.51.100.7:443": "EHOSTUNREACH",
    "203.0.113.9:80": "EHOSTUNREACH",
    f"{NODE_ADDRESS}:10250": "EHOSTUNREACH",
    f"{NODE_ADDRESS}:5000": "EHOSTUNREACH",
    "example.com:443": "no such name",
}


def program(command: Path, *arguments: str) -> str:
    return subprocess.run([command, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@pytest.fixture(scope="module")
def kube() -> Iterator[Kube]:
    """A namespace of its own in the running cluster, which is started when there is none."""
    was_there = subprocess.run([CLUSTER, "status"], capture_output=True).returncode == 0
    program(CLUSTER, "up")
    program(ROOT / "local-cluster" / "images.sh", "base")
    with Kube(program(CLUSTER, "kubeconfig"), NAMESPACE) as kube:
        kube.run("delete", "namespace", NAMESPACE, "--ignore-not-found")
        kube.run("create", "namespace", NAMESPACE)
        kube.wait("serviceaccount", "default", lambda _: True, seconds=30, what="there")
        yield kube
        kube.run("delete", "namespace", NAMESPACE, "--wait=false")
    if not was_there:
        program(CLUSTER, "down")


def pod(name: str, *command: str, claim: str | None = None, gpus: int = 0, labels: dict[str, str] | None = None) -> dict[str, Any]:
    """A restricted pod: not root, fsGroup, the claim at /data."""
    container: dict[str, Any] = {
        "name": "main",
        "image": IMAGE,
        "command": list(command),
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "resources": {"limits": {"nvidia.com/gpu": gpus}} if gpus else {},
    }
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }  # fmt: skip
    if claim:
        container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
        spec["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels or {}}, "spec": spec}


def claim(name: str, storage_class: str, mode: str, size: str = "64Mi") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"storageClassName": storage_class, "accessModes": [mode], "resources": {"requests": {"storage": size}}},
    }


def output(kube: Kube, name: str) -> str:
    """The pod's log, once it has ended well."""
    ended = kube.wait("pod", name, lambda o: o["status"].get("phase") in {"Succeeded", "Failed"}, seconds=60, what="ended")
    log = kube.run("logs", name).stdout
    assert ended["status"]["phase"] == "Succeeded", log
    return log


@pytest.fixture(scope="module")
def reached(kube: Kube) -> dict[str, tuple[str, float]]:
    """What a pod met when it connected to each of REACH."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 8000}]},
    }
    kube.apply(service, pod("web", "python", "-m", "http.server", "8000", "--directory", "/usr/share", labels={"app": "web"}))
    kube.run("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
    time.sleep(2)  # the service's rules follow the endpoint within a second
    kube.apply(pod("probe", "python", "-c", PROBE, *REACH))
    found: dict[str, tuple[str, float]] = json.loads(output(kube, "probe"))
    return found


@pytest.mark.parametrize("target", REACH)
def test_pods_reach_each_other_and_nothing_outside(reached: dict[str, tuple[str, float]], target: str) -> None:
    """Services, names, the API server and DNS answer; the world and the machine's other ports refuse at once."""
    outcome, seconds = reached[target]
    assert outcome == REACH[target]
    assert seconds < 4, "a refusal must not be a timeout"


@pytest.mark.parametrize(
    "storage_class, mode",
    [
        ("local", "ReadWriteOnce"),
        ("local", "ReadWriteOncePod"),
        ("shared", "ReadWriteMany"),
        ("shared", "ReadWriteOnce"),
        ("bounded", "ReadWriteOnce"),
    ],
)
def test_volumes_hold_what_a_pod_without_root_writes(kube: Kube, storage_class: str, mode: str) -> None:
    """What one pod writes, the next pod with the claim reads; files belong to the fsGroup."""
    name = f"{storage_class}-{mode.lower()}"
    kube.apply(claim(name, storage_class, mode), pod(f"{name}-w", "sh", "-c", "echo kept >/data/file && stat -c %g /data/file", claim=name))
    assert output(kube, f"{name}-w").strip() == "65532"
    kube.apply(pod(f"{name}-r", "cat", "/data/file", claim=name))
    assert output(kube, f"{name}-r").strip() == "kept"


def test_shared_volumes_are_written_by_two_pods_at_once(kube: Kube) -> None:
    """Two running pods see each other's files on a ReadWriteMany volume."""
    meet = "touch /data/$0 && until [ -e /data/$1 ]; do sleep 0.1; done"
    kube.apply(
        claim("both", "shared", "ReadWriteMany"),
        pod("left", "sh", "-c", meet, "left", "right", claim="both"),
        pod("right", "sh", "-c", meet, "right", "left", claim="both"),
    )
    output(kube, "left")
    output(kube, "right")


def test_a_claim_that_the_class_cannot_serve_says_why(kube: Kube) -> None:
    """ReadWriteMany on the class `local` stays Pending with a reason that names class and mode."""
    kube.apply(claim("refused", "local", "ReadWriteMany"), pod("waits", "true", claim="refused"))
    deadline = time.monotonic() + 30
    described = ""
    while "takes no access mode ReadWriteMany" not in described and time.monotonic() < deadline:
        described = kube.run("describe", "pvc", "refused").stdout
        time.sleep(0.5)
    assert 'storage class "local" takes no access mode ReadWriteMany' in described


def test_bounded_volumes_run_full(kube: Kube) -> None:
    """A volume of class `bounded` takes its claim's size and not more."""
    fill = "dd if=/dev/zero of=/data/file bs=1M count=100 2>&1 | grep -o 'No space left on device'; stat -c %s /data/file"
    kube.apply(claim("full", "bounded", "ReadWriteOnce", "32Mi"), pod("fills", "sh", "-c", fill, claim="full"))
    message, size = output(kube, "fills").splitlines()
    assert message == "No space left on device"
    assert 20 * 2**20 < int(size) < 32 * 2**20


def test_a_volume_goes_with_its_claim(kube: Kube) -> None:
    """Deleting the claim deletes volume and folder."""
    kube.apply(claim("gone", "shared", "ReadWriteMany"))
    bound = kube.wait("pvc", "gone", lambda o: o["status"].get("phase") == "Bound", seconds=30, what="bound")
    volume = bound["spec"]["volumeName"]
    folder = Path((kube.get("pv", volume) or {})["spec"]["local"]["path"])
    assert folder.is_dir()
    kube.run("delete", "pvc", "gone")
    kube.run("wait", "--for=delete", f"pv/{volume}", "--timeout=30s")
    assert not folder.exists()


def test_pods_get_the_pretended_gpus_that_they_ask_for(kube: Kube) -> None:
    """Two GPUs are two device numbers; more than the node has is Unschedulable."""
    kube.apply(pod("two", "printenv", "FAKE_VISIBLE_DEVICES", gpus=2), pod("hundred", "true", gpus=100))
    assert len(output(kube, "two").strip().split(",")) == 2
    waiting = kube.wait("pod", "hundred", lambda o: bool(o["status"].get("conditions")), seconds=30, what="looked at")
    (scheduled,) = [c for c in waiting["status"]["conditions"] if c["type"] == "PodScheduled"]
    assert scheduled["reason"] == "Unschedulable"
    assert "Insufficient nvidia.com/gpu" in scheduled["message"]


def test_a_running_pod_outlives_the_kubelet(kube: Kube) -> None:
    """After kill -9 of the kubelet and its start the pod is the same and was not restarted."""
    kube.apply(pod("stays", "sleep", "300"))
    kube.run("wait", "--for=condition=Ready", "pod/stays", "--timeout=60s")
    program(CLUSTER, "restart", "kubelet")
    kube.run("wait", "--for=condition=Ready", "node/node0", "--timeout=60s")
    deadline = time.monotonic() + 30  # a new kubelet learns its pods a moment after it is healthy
    while kube.run("exec", "stays", "--", "true", check=False).returncode:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    after = kube.get("pod", "stays")
    assert after is not None
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0
