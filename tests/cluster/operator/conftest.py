"""A control plane with simulated nodes, the definitions, and the operator's rights as the chart gives them."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.control_plane import ControlPlane, rendered
from tests.cluster.operator.operator_process import OperatorProcess, kubeconfig_of
from tests.cluster.operator.simulation import Space, volumes

ACCOUNT = "release-finetune-operator"


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Its own, because these tests kill its API server."""
    plane = ControlPlane(tmp_path_factory.mktemp("simulation"))
    try:
        plane.script("up", "--kwok", "2")
        plane.apply(rendered("crds"))
        plane.apply(rendered("operator/rbac"))
        plane.apply(volumes("simulated", 80))
        yield plane
    finally:
        plane.script("down")


@pytest.fixture(scope="session")
def kubeconfig(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The operator's own."""
    return kubeconfig_of(plane, ACCOUNT, tmp_path_factory.mktemp("operator") / "kubeconfig")


@pytest.fixture
def space(plane: ControlPlane) -> Iterator[Space]:
    """A new namespace."""
    space = Space(plane, f"op-{uuid.uuid4().hex[:8]}")
    space.kubectl("create", "namespace", space.name)
    yield space
    space.kubectl("delete", "namespace", space.name, "--wait=false", "--ignore-not-found")


Start = Callable[..., OperatorProcess]


@pytest.fixture
def start(kubeconfig: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts operators, and ends them after the test in good order, so that the next one need not wait for the lease."""
    started: list[OperatorProcess] = []

    def start(pod: str = "operator-0", **more: Any) -> OperatorProcess:
        operator = OperatorProcess(more.pop("kubeconfig", kubeconfig), tmp_path / f"{pod}.log", pod, more)
        operator.start()
        started.append(operator)
        return operator

    yield start
    for operator in started:
        operator.terminate()
