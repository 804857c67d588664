"""One control plane with our definitions and guard for all tests of this folder; a namespace for each."""

import uuid
from collections.abc import Iterator

import pytest

from tests.cluster.api import Api
from tests.cluster.control_plane import ControlPlane, install
from tests.cluster.objects import namespace_object


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Started empty; its processes end with the session, whatever happens."""
    plane = ControlPlane(tmp_path_factory.mktemp("control-plane"))
    try:
        plane.script("up")
        yield plane
    finally:
        plane.script("down")


@pytest.fixture(scope="session")
def api(control_plane: ControlPlane) -> Iterator[Api]:
    """Its client, once definitions and guard are in force."""
    with Api(control_plane.kubeconfig) as api:
        install(control_plane, api)
        yield api


@pytest.fixture
def namespace(api: Api) -> Iterator[str]:
    """A new namespace; its deletion is begun when the test is over."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    api.create(namespace_object(name))
    yield name
    if api.exists("Namespace", name):
        api.delete("Namespace", name)
