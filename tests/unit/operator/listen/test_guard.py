"""Whether the delete guard is installed."""

from typing import Any

import pytest

from finetune_operator.client.errors import ApiError, Forbidden, NotFound
from finetune_operator.listen.guard import GUARD_POLICIES, guard_installed

pytestmark = pytest.mark.unit

PREFIX = "/apis/admissionregistration.k8s.io/v1/"
POLICY, BINDING = f"validatingadmissionpolicies/{GUARD_POLICIES[0]}", f"validatingadmissionpolicybindings/{GUARD_POLICIES[-1]}"


class Answers:
    """Stands in for the request layer: everything is there but for the paths in `errors`."""

    def __init__(self, errors: dict[str, ApiError]) -> None:
        self.errors = errors

    async def get(self, path: str) -> Any:
        if error := self.errors.get(path.removeprefix(PREFIX)):
            raise error
        return {}


@pytest.mark.parametrize(
    ("errors", "installed"),
    [
        ({}, True),
        ({POLICY: NotFound("GET", 404)}, False),
        ({BINDING: NotFound("GET", 404)}, False),
        ({POLICY: Forbidden("GET", 403)}, True),
        ({POLICY: Forbidden("GET", 403), BINDING: NotFound("GET", 404)}, False),
    ],
)
async def test_a_policy_without_its_binding_guards_nothing(errors: dict[str, ApiError], installed: bool) -> None:
    """All policies and all bindings must be there, as far as the operator may look."""
    assert await guard_installed(Answers(errors)) is installed  # type: ignore[arg-type]
