"""kubectl for the end-to-end tests: one namespace, plain dicts, waiting with a reason when it takes too long.

Objects are read over HTTP: a kubectl for every look at what is waited for would take a core from the pods.
"""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx

from tests.cluster.api import client_of

Object = dict[str, Any]

COLLECTIONS = {
    **{kind: f"/apis/finetune.dev/v1alpha1/namespaces/{{}}/{kind}s" for kind in ("finetunejob", "finetunedmodel", "modeldeployment")},
    **{kind: f"/api/v1/namespaces/{{}}/{kind}s" for kind in ("pod", "service", "serviceaccount")},
    "deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "namespace": "/api/v1/namespaces",
    "pv": "/api/v1/persistentvolumes",
    "pvc": "/api/v1/namespaces/{}/persistentvolumeclaims",
}


class Kube:
    """kubectl with a kubeconfig, in one namespace."""

    def __init__(self, kubeconfig: str, namespace: str) -> None:
        self.kubeconfig = kubeconfig
        self.namespace = namespace
        self._client = client_of(Path(kubeconfig))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def run(self, *arguments: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs kubectl; with `check` a failure shows what kubectl said."""
        command = ["kubectl", "--kubeconfig", self.kubeconfig, "-n", self.namespace, *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=300)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command[3:])}: {done.stderr or done.stdout}")
        return done

    def apply(self, *objects: Object) -> None:
        """kubectl apply, as a user does it."""
        self.run("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def get(self, kind: str, name: str) -> Object | None:
        """The object, or None when there is none (or the API server is away for a moment)."""
        found = self._read(f"{COLLECTIONS[kind]}/{name}")
        return json.loads(found) if found else None

    def pods(self, selector: str) -> list[Object]:
        """Those that carry the labels."""
        found = self._read(COLLECTIONS["pod"], labelSelector=selector)
        return json.loads(found)["items"] if found else []

    def _read(self, path: str, **parameters: str) -> bytes:
        """Empty when nothing is there, or the API server is away for a moment."""
        for _ in range(2):  # the connection of before may be dead
            try:
                answer = self._client.get(path.format(self.namespace), params=parameters)
            except httpx.TransportError:
                continue
            return answer.content if answer.is_success else b""
        return b""

    def delete(self, kind: str, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """kubectl delete; the caller looks at the outcome."""
        return self.run("delete", kind, name, *arguments, check=False)

    def wait(self, kind: str, name: str, holds: Callable[[Object], bool], *, seconds: float, what: str) -> Object:
        """The object as soon as `holds` says so; fails with its status after `seconds`."""
        deadline = time.monotonic() + seconds
        seen: Object | None = None
        while time.monotonic() < deadline:
            seen = self.get(kind, name) or seen
            if seen is not None and holds(seen):
                return seen
            time.sleep(0.5)
        status = json.dumps((seen or {}).get("status"), indent=1)
        raise AssertionError(f"{kind}/{name}: not {what} after {seconds:.0f} s; status: {status}\n{self._pods()}")

    def _pods(self) -> str:
        return self.run("get", "pods,events", "-o", "wide", check=False).stdout[-6000:]

    def phase(self, job: str, *phases: str, seconds: float = 240) -> Object:
        """Waits until a FineTuneJob is in one of the phases; a failure that was not asked for ends the wait."""
        final = {"Succeeded", "Failed", "Cancelled"}
        found = self.wait("finetunejob", job, lambda o: phase_of(o) in {*phases, *final}, seconds=seconds, what="/".join(phases))
        assert phase_of(found) in phases, f"{job} is {phase_of(found)}: {json.dumps(found['status'].get('error'))}"
        return found

    def step(self, job: str, at_least: int, seconds: float = 180) -> Object:
        """The running train pod of rank 0, once its log shows that step."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for pod in self.pods(f"finetune.dev/job={job},finetune.dev/stage=train"):
                log = self._read(f"{COLLECTIONS['pod']}/{pod['metadata']['name']}/log").decode(errors="replace")
                steps = [
                    json.loads(line)["finetuneProgress"].get("step") or 0
                    for line in log.splitlines()
                    if line.startswith('{"finetuneProgress":') and line.endswith("}")
                ]
                if pod["status"]["phase"] == "Running" and max(steps, default=0) >= at_least:
                    return pod
            time.sleep(0.3)
        raise AssertionError(f"{job}: step {at_least} not reached in {seconds:.0f} s\n{self._pods()}")


def phase_of(job: Object) -> str:
    """status.phase, or an empty string."""
    return str(job.get("status", {}).get("phase", ""))


def condition(of: Object, kind: str) -> Object:
    """A condition by its type; an empty dict when it is not there."""
    return next((c for c in of.get("status", {}).get("conditions", []) if c["type"] == kind), {})
