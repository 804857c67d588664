"""The operator as a process of its own, with the rights that the chart gives it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.cluster.control_plane import ROOT, ControlPlane

PYTHONPATH = os.pathsep.join(str(ROOT / part) for part in ("operator", "api"))


def kubeconfig_of(plane: ControlPlane, service_account: str, path: Path) -> Path:
    """Writes a kubeconfig with a token of a service account in namespace default."""
    token = plane.kubectl("-n", "default", "create", "token", service_account, "--duration", "2h")
    assert token.returncode == 0, token.stderr
    config = yaml.safe_load(plane.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token.stdout.strip()}
    path.write_text(yaml.safe_dump(config))
    return path


def free_port() -> int:
    """A port on which no process listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class OperatorProcess:
    """`start` as often as you like: a new start is a new container of the same pod."""

    kubeconfig: Path
    log: Path
    pod: str = "operator-0"
    environment: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        """Begins, and returns at once."""
        self.port = free_port()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "finetune_operator"], stdout=log, stderr=log, env=self._environment(), start_new_session=True
            )

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/tmp"),
            "PYTHONPATH": PYTHONPATH,
            "KUBECONFIG": str(self.kubeconfig),
            "POD_NAME": self.pod,
            "FINETUNE_TRAINER_IMAGE": "trainer:test",
            "FINETUNE_SERVER_IMAGES": '{"onnx": "onnx-server:test"}',
            "FINETUNE_LEASE_NAMESPACE": "default",
            "FINETUNE_LEASE_NAME": "release-finetune-operator",
            "FINETUNE_HTTP_PORT": str(self.port),
            **self.environment,
        }

    def get(self, path: str) -> httpx.Response | None:
        """Of its own port; None while it does not answer."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=2)
        except httpx.HTTPError:
            return None

    def leads(self) -> bool:
        """By its own metrics, once it has listed everything."""
        metrics, ready = self.get("/metrics"), self.get("/readyz")
        return bool(metrics and ready and ready.status_code == 200 and "finetune_operator_leading 1.0" in metrics.text)

    def signal(self, number: signal.Signals) -> None:
        """To the process, if it is there."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9; also for one that is stopped."""
        self.signal(signal.SIGKILL)
        self.process.wait(10)

    def terminate(self) -> float:
        """As the kubelet does it; returns after how many seconds it had left."""
        begun = time.monotonic()
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        finally:
            self.kill()
        return time.monotonic() - begun

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{")]

    def writes(self) -> int:
        """How many lines of its log tell of a write."""
        return sum(line["logger"] == "finetune_operator.reconcile.execute" for line in self.lines())

    def said(self, *words: str) -> bool:
        """True when a message of its log holds all of the words."""
        return any(all(word in line["message"] for word in words) for line in self.lines())
