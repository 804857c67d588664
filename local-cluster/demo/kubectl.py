"""kubectl as a function, for the demo's small programs."""

import contextlib
import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any


def kubectl(*arguments: str) -> str:
    """Runs kubectl and returns its standard output; raises CalledProcessError."""
    return subprocess.run(["kubectl", *arguments], check=True, capture_output=True, text=True).stdout


def get(kind: str, name: str, namespace: str) -> dict[str, Any]:
    """One object as a dict."""
    found: dict[str, Any] = json.loads(kubectl("-n", namespace, "get", kind, name, "-o", "json"))
    return found


@contextlib.contextmanager
def port_forward(namespace: str, target: str, port: int) -> Iterator[str]:
    """Makes a Service's port reachable from here; yields its address, http://127.0.0.1:PORT."""
    command = ["kubectl", "-n", namespace, "port-forward", "--address", "127.0.0.1", target, f":{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            match = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
            if match is None:
                raise RuntimeError(f"kubectl port-forward {target}: {process.stderr.readline().strip()}")
            yield f"http://127.0.0.1:{match.group(1)}"
        finally:
            process.terminate()
