"""Taking definitions and guard away, in every order, on a control plane of its own: nothing is left stuck."""

from collections.abc import Iterator

import pytest

from tests.cluster.api import Api, Refused, wait_until
from tests.cluster.control_plane import POLICIES, ControlPlane, install, rendered
from tests.cluster.objects import deployment, job, model, namespace_object

GUARD = tuple(f"guard/{policy}" for policy in POLICIES)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A second control plane, to be damaged."""
    plane = ControlPlane(tmp_path_factory.mktemp("removal"))
    try:
        plane.script("up")
        yield plane
    finally:
        plane.script("down")


@pytest.fixture(scope="module")
def client(plane: ControlPlane) -> Iterator[Api]:
    """Its client."""
    with Api(plane.kubeconfig) as api:
        yield api


@pytest.fixture
def space(plane: ControlPlane, client: Api, request: pytest.FixtureRequest) -> Iterator[str]:
    """Definitions and guard in force, and a namespace with every edge in it; definitions and guard are taken away afterwards."""
    install(plane, client)
    name = request.node.name.replace("_", "-")
    client.create(namespace_object(name))
    client.create(model(name, "base"))
    client.create(model(name, "adapter", base_model="base"))
    client.create(deployment(name, "bot", "adapter"))
    client.create(job(name, "again", base_model="base"))
    yield name
    for templates in (GUARD, ("crds",)):
        plane.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=rendered(*templates))


def remove_definition(client: Api, name: str) -> None:
    """Deletes a definition and waits until it and its objects are gone."""
    client.delete("CustomResourceDefinition", name)
    wait_until(f"{name} is gone", lambda: not client.exists("CustomResourceDefinition", name), 30)


def test_guard_first(plane: ControlPlane, client: Api, space: str) -> None:
    """The recommended order: without the guard everything can be deleted, then the definitions go.

    It also helps where a user's definition went first: after a restart the API server cannot read the parameters of that
    policy, refuses every deletion and says why.
    """
    remove_definition(client, "modeldeployments.finetune.dev")
    client.create(model(space, "unused"))
    plane.script("restart", "apiserver")
    assert "failed to find resource referenced by paramKind" in _refusal(client, "unused", space)
    plane.kubectl("delete", "-f", "-", stdin=rendered("guard/model-used-by-deployment"))
    wait_until("an unused model can be deleted", lambda: _deleted(client, "unused", space))
    assert "model base is the base of" in _refusal(client, "base", space)
    plane.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=rendered(*GUARD))
    wait_until("a used model can be deleted", lambda: _deleted(client, "base", space))
    for name in ("finetunejobs.finetune.dev", "finetunedmodels.finetune.dev"):
        remove_definition(client, name)


def test_definitions_first(client: Api, space: str) -> None:
    """A definition takes its objects along although they are in use."""
    for name in ("finetunedmodels.finetune.dev", "modeldeployments.finetune.dev", "finetunejobs.finetune.dev"):
        remove_definition(client, name)
    assert not client.exists("FineTunedModel", "base", space)


def _deleted(client: Api, name: str, space: str) -> bool:
    try:
        client.delete("FineTunedModel", name, space)
    except Refused as refused:
        if refused.code in (403, 422):  # by a policy, by a policy that cannot be evaluated
            return False
        raise
    return True


def _refusal(client: Api, name: str, space: str) -> str:
    with pytest.raises(Refused) as refused:
        client.delete("FineTunedModel", name, space)
    return refused.value.message
