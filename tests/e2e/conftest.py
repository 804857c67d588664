"""A real cluster with the operator installed from its chart and an S3 server in it; a namespace for each module."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.examples import TASKS, example
from tests.e2e.kube import Kube
from tests.e2e.manifests import S3_SECRET

ROOT = Path(__file__).parents[2]
LOCAL_CLUSTER = ROOT / "local-cluster"
MODELS = ("smollm2-5m", "all-minilm-l6-v2")
DATASETS = ("support-bot", "order-desk", "quiz", "package-summaries", "languages", "order-entities", "preferences", "feedback", "questions")


def run(*command: str | Path, **environment: str) -> str:
    """Runs one of the project's own programs; its progress goes to the terminal, its standard output is returned."""
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}, check=True
    )
    return done.stdout.strip()


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[str]:
    """The local cluster, with the images and the operator. One that was there before stays there."""
    was_there = subprocess.run([LOCAL_CLUSTER / "cluster.sh", "status"], capture_output=True).returncode == 0
    run(LOCAL_CLUSTER / "cluster.sh", "up")
    path = run(LOCAL_CLUSTER / "cluster.sh", "kubeconfig")
    os.environ["KUBECONFIG"] = path  # for the demo's programs
    run(LOCAL_CLUSTER / "project-images.sh")
    run(LOCAL_CLUSTER / "install.sh", KUBECONFIG=path)
    yield path
    if not was_there:
        run(LOCAL_CLUSTER / "cluster.sh", "down")


@pytest.fixture(scope="session")
def s3(kubeconfig: str, assets: Path) -> Iterator[str]:
    """Address of an S3 server in the cluster that holds the tiny model and the example's rows."""
    with Kube(kubeconfig, "e2e-s3") as kube:
        kube.run("create", "namespace", "e2e-s3", check=False)
        image = run(LOCAL_CLUSTER / "project-images.sh", "reference", "finetune-demo-s3")
        kube.run("apply", "-f", "-", stdin=(LOCAL_CLUSTER / "demo" / "s3.yaml").read_text().replace("IMAGE", image))
        kube.run("rollout", "status", "deployment/s3", "--timeout=240s")
        python, upload = ROOT / ".venv/bin/python", LOCAL_CLUSTER / "demo" / "upload.py"
        run(python, upload, "e2e-s3", assets, *MODELS, *DATASETS, KUBECONFIG=kubeconfig)
        yield "http://s3.e2e-s3:5000"
        kube.run("delete", "namespace", "e2e-s3", "--wait=false")


@contextmanager
def namespace(kubeconfig: str, s3: str, of: str) -> Iterator[Kube]:
    """A fresh namespace that enforces the restricted pod security standard, with the credentials of the S3 server."""
    name = f"e2e-{of.replace('_', '-')}-{int(time.time()) % 100000}"
    with Kube(kubeconfig, name) as kube:
        kube.run("create", "namespace", name)
        kube.run("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
        kube.run(
            "create", "secret", "generic", S3_SECRET,
            "--from-literal=AWS_ACCESS_KEY_ID=demo", "--from-literal=AWS_SECRET_ACCESS_KEY=demo-secret",
            "--from-literal=AWS_REGION=us-east-1", f"--from-literal=AWS_ENDPOINT_URL={s3}",
        )  # fmt: skip
        yield kube
        kube.run("delete", "namespace", name, "--timeout=120s", "--ignore-not-found")


@pytest.fixture(scope="module")
def kube(kubeconfig: str, s3: str, request: pytest.FixtureRequest) -> Iterator[Kube]:
    """The module's namespace."""
    with namespace(kubeconfig, s3, Path(request.module.__file__).stem.removeprefix("test_")) as kube:
        yield kube


@pytest.fixture(scope="session")
def examples(kubeconfig: str, s3: str) -> Iterator[Kube]:
    """The example of every task at once, as a user would apply them who tries everything."""
    with namespace(kubeconfig, s3, "examples") as kube:
        kube.apply(*(item for name in TASKS for item in example(name)))
        yield kube
