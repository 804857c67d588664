"""The chart's network policies: whom each selects among our pods, and what these may reach."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from finetune_operator.build.server import PORT
from finetune_operator.build.service import MASTER_PORT
from finetune_operator.objects.names import DEPLOYMENT_LABEL, MANAGED_BY, STAGE_LABEL

pytestmark = pytest.mark.unit

CHART = Path(__file__).parents[3] / "charts" / "finetune-operator"
HELM = Path(sys.executable).parent / "helm"
ON = ("networkPolicies.enabled=true", "networkPolicies.namespaces={team-a,team-b}")


def rendered(*values: str) -> subprocess.CompletedProcess[str]:
    """`helm template` of the policies alone."""
    settings = [argument for value in values for argument in ("--set", value)]
    command = [HELM, "template", "release", CHART, "--show-only", "templates/network-policies.yaml", *settings]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


@pytest.fixture(scope="module")
def policies() -> list[dict[str, Any]]:
    """Those of namespace team-a."""
    done = rendered(*ON)
    assert done.returncode == 0, done.stderr
    return [policy for policy in yaml.safe_load_all(done.stdout) if policy and policy["metadata"]["namespace"] == "team-a"]


def selects(policy: dict[str, Any], labels: dict[str, str]) -> bool:
    """As the API server reads a selector, so far as the chart uses it."""
    selector = policy["spec"]["podSelector"]
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    return wanted and all(
        one["key"] in labels if one["operator"] == "Exists" else labels.get(one["key"]) in one["values"]
        for one in selector.get("matchExpressions", [])
    )


@pytest.mark.parametrize(
    ("labels", "name", "ingress", "egress"),
    [
        ({STAGE_LABEL: "prepare"}, "prepare", 0, 2),
        ({STAGE_LABEL: "train"}, "train", 1, 2),
        ({STAGE_LABEL: "publish"}, "publish", 0, 0),
        ({STAGE_LABEL: "inspect"}, "offline", 0, 0),
        ({DEPLOYMENT_LABEL: "web"}, "server", 1, 0),
    ],
)
def test_each_pod_has_one_policy(policies: list[dict[str, Any]], labels: dict[str, str], name: str, ingress: int, egress: int) -> None:
    """Every kind of pod is selected once, in both directions; only prepare gets out, and only ranks and servers are reached."""
    (policy,) = [policy for policy in policies if selects(policy, {**MANAGED_BY, **labels})]
    assert policy["metadata"]["name"] == f"release-finetune-operator-{name}"
    spec = policy["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert (len(spec.get("ingress", [])), len(spec.get("egress", []))) == (ingress, egress)
    assert not selects(policy, labels), "pods of others are left alone"


def test_ranks_and_servers_are_reached_at_their_ports(policies: list[dict[str, Any]]) -> None:
    """Ranks at every port, the rendezvous among them; servers at theirs."""
    specs = {policy["metadata"]["name"].rpartition("-")[2]: policy["spec"] for policy in policies}
    assert specs["train"]["ingress"] == [{"from": [{"podSelector": {"matchLabels": {STAGE_LABEL: "train"}}}]}]
    assert str(MASTER_PORT) in (CHART / "templates" / "network-policies.yaml").read_text()
    assert specs["server"]["ingress"][0]["ports"] == [{"port": PORT}]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (("networkPolicies.enabled=true",), "requires networkPolicies.namespaces"),
        (("networkPolicies.enabled=true", "networkPolicies.namespaces={Team_A}"), "does not match pattern"),
    ],
)
def test_namespaces_must_be_named(values: tuple[str, ...], says: str) -> None:
    """A policy is of one namespace: without a name there is nothing that could be protected."""
    done = rendered(*values)
    assert done.returncode != 0
    assert says in done.stderr


def test_trackers_are_reached_by_training_and_publish() -> None:
    """By no other stage, and only if the administrator names them."""
    done = rendered("networkPolicies.enabled=true", "watchNamespaces={team-a}", "networkPolicies.trackers[0].ports[0].port=5000")
    found = {policy["metadata"]["name"].rpartition("-")[2]: policy["spec"] for policy in yaml.safe_load_all(done.stdout) if policy}
    assert [name for name, spec in found.items() if {"ports": [{"port": 5000}]} in spec.get("egress", [])] == ["train", "publish"]


def test_the_store_of_checkpoints_is_reached_by_all_stages() -> None:
    """prepare tries it, the training copies, publish deletes; the rules of the others stay."""
    rule = "networkPolicies.checkpointStores[0].ports[0].port=9000"
    done = rendered("networkPolicies.enabled=true", "watchNamespaces={team-a}", rule)
    found = {policy["metadata"]["name"].rpartition("-")[2]: policy["spec"] for policy in yaml.safe_load_all(done.stdout) if policy}
    reaching = [name for name, spec in found.items() if {"ports": [{"port": 9000}]} in spec.get("egress", [])]
    assert reaching == ["train", "prepare", "publish"]
    assert len(found["prepare"]["egress"]) == 3


def test_nobody_and_nothing() -> None:
    """Without clients servers cannot be reached, without sources prepare asks for names only."""
    done = rendered(
        "networkPolicies.enabled=true", "watchNamespaces={team-a}", "networkPolicies.clients=null", "networkPolicies.sources=null"
    )
    found = {policy["metadata"]["name"].rpartition("-")[2]: policy["spec"] for policy in yaml.safe_load_all(done.stdout) if policy}
    assert "ingress" not in found["server"]
    assert len(found["prepare"]["egress"]) == 1
