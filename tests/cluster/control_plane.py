"""A control plane of our own for tests, and our definitions and guard in it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.cluster.api import Api, Refused, wait_until
from tests.cluster.objects import claim, deployment, job, model, namespace_object

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "finetune-operator"
SCRIPT = ROOT / "local-cluster" / "control-plane.sh"
POLICIES = ("model-used-by-deployment", "model-used-by-job", "model-used-by-model", "claim-used-by-model")
WITH_TOOLS = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
"""helm, and kubectl where the machine has none, lie beside the interpreter."""


@dataclass(frozen=True)
class ControlPlane:
    """etcd, API server and controller-manager in a folder; no node, so no pod ever runs."""

    folder: Path

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.folder / "etc" / "admin.kubeconfig"

    def script(self, *arguments: str) -> None:
        """Runs local-cluster/control-plane.sh for this folder."""
        done = subprocess.run([SCRIPT, *arguments, "--dir", self.folder], capture_output=True, text=True, env=WITH_TOOLS)
        assert done.returncode == 0, done.stderr

    def kubectl(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """As a person at a terminal would run it."""
        environment = {**WITH_TOOLS, "KUBECONFIG": str(self.kubeconfig)}
        return subprocess.run(["kubectl", *arguments], input=stdin, capture_output=True, text=True, env=environment)

    def apply(self, yaml_text: str) -> None:
        """`kubectl apply --server-side`, which must succeed."""
        done = self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml_text)
        assert done.returncode == 0, done.stderr


def rendered(*templates: str, values: tuple[str, ...] = ()) -> str:
    """These templates of the chart as `helm template` prints them."""
    shown = [argument for template in templates for argument in ("--show-only", f"templates/{template}.yaml")]
    changed = [argument for value in values for argument in ("--set", value)]
    done = subprocess.run(["helm", "template", "release", CHART, *shown, *changed], capture_output=True, text=True, env=WITH_TOOLS)
    assert done.returncode == 0, done.stderr
    return done.stdout


def install(control_plane: ControlPlane, api: Api) -> None:
    """Definitions, then the guard, and waits until each policy refuses what it should."""
    control_plane.apply(rendered("crds"))
    control_plane.apply(rendered(*(f"guard/{policy}" for policy in POLICIES)))
    wait_for_guard(api)


def wait_for_guard(api: Api) -> None:
    """The API server learns of a policy's parameters some seconds after their definition: ask until it answers."""
    space = "guard-probe"
    api.create(namespace_object(space))
    probes = [
        (model(space, "deployed"), deployment(space, "user", "deployed")),
        (model(space, "continued"), job(space, "user", base_model="continued")),
        (model(space, "base"), model(space, "user", base_model="base")),
        (claim(space, "files", "kept"), model(space, "kept")),
    ]
    for used, user in probes:
        wait_until(f"{used['kind']} can be created", partial(_created, api, used))
        wait_until(f"{user['kind']} can be created", partial(_created, api, user))
    for used, user in probes:
        wait_until(f"the guard refuses, because of a {user['kind']}", partial(_refused, api, used["kind"], used["metadata"]["name"]))
    api.delete("Namespace", space)
    wait_until(f"namespace {space} is gone", lambda: not api.exists("Namespace", space))


def _created(api: Api, obj: dict[str, object]) -> bool:
    try:
        api.create(obj)
    except Refused as refused:
        if refused.code == 404:
            return False
        raise
    return True


def _refused(api: Api, kind: str, name: str) -> bool:
    try:
        api.delete(kind, name, "guard-probe", dryRun=["All"])
    except Refused as refused:
        return "denied request: " in refused.message and "first" in refused.reason
    return False
