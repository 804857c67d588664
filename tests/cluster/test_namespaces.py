"""A namespace with used models in it disappears: its controller deletes in name order and stops at the first refusal."""

import pytest

from tests.cluster.api import Api, wait_until
from tests.cluster.objects import claim, deployment, job, model, namespace_object

# names of the base model, the model tuned from it, the deployment and the job: every order matters to the controller
NAMES = {
    "base-first": ("a", "b", "c", "d"),
    "base-last": ("d", "c", "b", "a"),
    "base-between": ("b", "a", "d", "c"),
    "all-the-same": ("x", "y", "x", "x"),
}


@pytest.fixture(scope="module")
def doomed(api: Api) -> None:
    """One namespace for each order, full of edges; the deletion of all has begun."""
    for space, (base, adapter, bot, again) in NAMES.items():
        api.create(namespace_object(space))
        made = api.create(model(space, base))
        api.create(model(space, adapter, base_model=base))
        api.create(deployment(space, bot, base))
        api.create(deployment(space, f"{bot}-2", adapter))
        api.create(job(space, again, base_model=adapter))
        api.create(claim(space, f"{base}-model", base, made))
        api.create(claim(space, f"{adapter}-model", adapter))
    for space in NAMES:
        api.delete("Namespace", space)


@pytest.mark.usefixtures("doomed")
@pytest.mark.parametrize("space", NAMES)
def test_a_namespace_disappears(api: Api, space: str) -> None:
    """Whatever the names, the guard lets a terminating namespace go."""
    wait_until(f"namespace {space} is gone", lambda: not api.exists("Namespace", space), 60)
