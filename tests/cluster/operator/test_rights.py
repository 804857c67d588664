"""What the operator may not do is named in its log, and it waits instead of guessing."""

from pathlib import Path

import pytest

from tests.cluster.operator.conftest import ACCOUNT, Start
from tests.cluster.operator.operator_process import kubeconfig_of
from tests.cluster.operator.simulation import Space

pytestmark = pytest.mark.cluster


def test_a_missing_right_is_named(space: Space, start: Start, tmp_path: Path) -> None:
    """Without the right to list pods it does not act on half of a picture: not ready, and the log says which right is missing."""
    for command in (
        ["create", "serviceaccount", "poor"],
        ["create", "role", "poor-leases", "--resource=leases", "--verb=get,create,update"],
        ["create", "rolebinding", "poor-leases", "--role=poor-leases", "--serviceaccount=default:poor"],
    ):
        space.plane.kubectl("-n", "default", *command)
    operator = start("operator-poor", kubeconfig=kubeconfig_of(space.plane, "poor", tmp_path / "kubeconfig"), FINETUNE_LEASE_NAME="poor")
    space.wait("the log names it", lambda: operator.said("jobs.batch in all namespaces", "cannot list resource"))
    ready = operator.get("/readyz")
    assert ready
    assert ready.status_code == 503
    assert operator.process.poll() is None


def test_it_reads_no_secret(space: Space) -> None:
    """The chart gives it no right to, in any namespace, by any verb."""
    account = f"--as=system:serviceaccount:default:{ACCOUNT}"
    for verb in ("get", "list", "watch", "create"):
        assert space.kubectl("auth", "can-i", verb, "secrets", account, check=False).strip() == "no"


def test_it_lists_nodes_and_changes_none(space: Space) -> None:
    """Their labels say how much memory a GPU has."""
    account = f"--as=system:serviceaccount:default:{ACCOUNT}"
    allowed = {verb: space.kubectl("auth", "can-i", verb, "nodes", account, check=False).strip() for verb in ("list", "watch", "patch")}
    assert allowed == {"list": "yes", "watch": "no", "patch": "no"}
