"""The two controllers that benchmarks/operator_scale.py compares: what each is given to do, how it is started, and when it is done."""

import base64
import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.cluster.control_plane import ROOT, ControlPlane, rendered
from tests.cluster.operator.operator_process import OperatorProcess, free_port, kubeconfig_of
from tests.cluster.operator.simulation import simulated_job

Object = dict[str, Any]
STAGES = ("prepare", "train", "publish")
JOBS = "/apis/batch/v1/namespaces/{}/jobs"


@dataclass(frozen=True)
class Contestant:
    """A controller at work."""

    name: str
    pid: int
    collection: str
    """Path of what it is given to do, with {} for the namespace."""
    make: Callable[[str, str], Object]
    """The object of three stages, by namespace and name."""
    done: Callable[[Mapping[str, Any]], bool]
    """By the object's status."""
    first_child: str
    """What follows the object's name in the name of its first Job."""
    stop: Callable[[], object]


def ours(plane: ControlPlane) -> Contestant:
    """The operator with the chart's rights and its defaults."""
    plane.apply(rendered("crds"))
    plane.apply(rendered("operator/rbac"))
    kubeconfig = kubeconfig_of(plane, "release-finetune-operator", plane.folder / "operator.kubeconfig")
    process = OperatorProcess(kubeconfig, plane.folder / "operator.log")
    process.start()
    wait("the operator leads", process.leads)
    return Contestant(
        "ours", process.process.pid, "/apis/finetune.dev/v1alpha1/namespaces/{}/finetunejobs", simulated_job,
        lambda status: status.get("phase") == "Succeeded", "-prepare-1", process.terminate,
    )  # fmt: skip


def jobset(plane: ControlPlane) -> Contestant:
    """JobSet as released, with its webhooks, as a process of this machine."""
    script = ROOT / "local-cluster" / "build-binaries.sh"
    subprocess.run(["bash", script, f"jobset-{_version()}"], check=True)
    binaries = _binaries()
    plane.apply((binaries / "jobset-config/crd/bases/jobset.x-k8s.io_jobsets.yaml").read_text())
    certificate = _certificate(plane.folder / "jobset")
    webhook, probes, metrics = free_port(), free_port(), free_port()
    config = plane.folder / "jobset" / "config.yaml"
    config.write_text(yaml.safe_dump(_configuration(certificate.parent, webhook, probes, metrics)))
    with (plane.folder / "jobset.log").open("wb") as log:
        environment = {**os.environ, "KUBECONFIG": str(plane.kubeconfig)}
        command: list[str | Path] = [binaries / f"jobset-{_version()}", "--config", config, "--zap-log-level", "error"]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    wait("JobSet is ready", lambda: _answers(f"http://127.0.0.1:{probes}/readyz"))
    plane.apply(_webhooks(binaries / "jobset-config/webhook", webhook, certificate))
    time.sleep(2)  # the API server learns of them a moment later
    return Contestant(
        "jobset", process.pid, "/apis/jobset.x-k8s.io/v1alpha2/namespaces/{}/jobsets", three_stages,
        lambda status: status.get("terminalState") == "Completed", "-prepare-0", process.terminate,
    )  # fmt: skip


def three_stages(namespace: str, name: str) -> Object:
    """A JobSet of three Jobs of a pod each, one after another."""
    pod = {"restartPolicy": "Never", "containers": [{"name": "trainer", "image": "trainer:test"}]}
    template = {"spec": {"parallelism": 1, "completions": 1, "backoffLimit": 0, "template": {"spec": pod}}}
    stages = [
        {"name": stage, "replicas": 1, "template": template}
        | ({"dependsOn": [{"name": STAGES[number - 1], "status": "Complete"}]} if number else {})
        for number, stage in enumerate(STAGES)
    ]
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": metadata, "spec": {"replicatedJobs": stages}}


def wait(what: str, true: Callable[[], object], seconds: float = 120) -> None:
    """Polls until it is so."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise SystemExit(f"after {seconds:.0f} s still not: {what}")
        time.sleep(0.2)


def _places(name: str) -> str:
    """A variable of local-cluster/lib/places.sh."""
    command = f'set -a; BASH_ARGV0=x; source "{ROOT}/local-cluster/lib/places.sh"; printf %s "${name}"'
    return subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True).stdout


def _version() -> str:
    return _places("JOBSET_VERSION")


def _binaries() -> Path:
    return Path(_places("BIN"))


def _certificate(folder: Path) -> Path:
    folder.mkdir()
    key, certificate = folder / "tls.key", folder / "tls.crt"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=jobset", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate


def _configuration(certificates: Path, webhook: int, probes: int, metrics: int) -> Object:
    return {
        "apiVersion": "config.jobset.x-k8s.io/v1alpha1", "kind": "Configuration",
        "internalCertManagement": {"enable": False},
        "leaderElection": {"leaderElect": True, "resourceNamespace": "default"},
        "webhook": {"host": "127.0.0.1", "port": webhook, "certDir": str(certificates)},
        "metrics": {"bindAddress": f"127.0.0.1:{metrics}", "certDir": str(certificates)},
        "health": {"healthProbeBindAddress": f"127.0.0.1:{probes}"},
    }  # fmt: skip


def _webhooks(folder: Path, port: int, certificate: Path) -> str:
    """As released, with the patches that bind the pods' to JobSet's own pods; an address instead of a Service."""
    bundle = base64.b64encode(certificate.read_bytes()).decode()
    configurations = list(yaml.safe_load_all((folder / "manifests.yaml").read_text()))
    for configuration in configurations:
        kind = "mutating" if configuration["kind"].startswith("Mutating") else "validating"
        for patch in yaml.safe_load((folder / f"patches/{kind}-patch.yaml").read_text()):
            configuration["webhooks"][int(patch["path"].rpartition("/")[2])] = patch["value"]
        for webhook in configuration["webhooks"]:
            path = webhook["clientConfig"]["service"]["path"]
            webhook["clientConfig"] = {"url": f"https://127.0.0.1:{port}{path}", "caBundle": bundle}
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": configurations})


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
