"""What the chart's Deployment tells the operator of the chart's values."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from finetune_operator.environment import from_environment

pytestmark = pytest.mark.unit

CHART = Path(__file__).parents[3] / "charts" / "finetune-operator"
HELM = Path(sys.executable).parent / "helm"
ALL = {"image", "env", "envFrom", "serviceAccountName"}


def environment(*values: str) -> dict[str, str]:
    """Of the operator's container, without what comes from its pod."""
    settings = [argument for value in values for argument in ("--set", value)]
    done = subprocess.run([str(HELM), "template", "release", str(CHART), *settings], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = next(obj for obj in yaml.load_all(done.stdout, yaml.CSafeLoader) if obj and obj["kind"] == "Deployment")
    return {var["name"]: var["value"] for var in found["spec"]["template"]["spec"]["containers"][0]["env"] if "value" in var}


def test_images_of_the_engines() -> None:
    """A bare name gets registry and tag, as all images do."""
    values = ("images.registry=registry.example.com", "images.tag=1.2")
    assert from_environment(environment(*values)).server_images == {"onnx": "registry.example.com/finetune-server-onnx:1.2"}
    assert from_environment(environment("images.servers.onnx=own/server@sha256:0")).server_images == {"onnx": "own/server@sha256:0"}


@pytest.mark.parametrize(
    ("values", "allowed"),
    [
        ((), ALL),
        (("overrides.image=false",), ALL - {"image"}),
        (tuple(f"overrides.{field}=false" for field in sorted(ALL)), set()),
        (("overrides=null", "networkPolicies=null", "sources.instanceCredentials=null"), ALL),
    ],
    ids=["default", "one is forbidden", "all are", "the values of an earlier version"],
)
def test_what_jobs_may_set(values: tuple[str, ...], allowed: set[str]) -> None:
    """An upgrade that reuses the values of a release from before there were any forbids nothing."""
    assert from_environment(environment(*values)).overrides == allowed


@pytest.mark.parametrize(("value", "allowed"), [("allowCustomCode=false", False), ("allowCustomCode=true", True), ("", False)])
def test_whether_jobs_may_bring_code(value: str, allowed: bool) -> None:
    """Not by default, nor with the values of a release from before there was a choice."""
    values = (f"training.{value}",) if value else ("training=null",)
    assert from_environment(environment(*values)).allow_custom_code == allowed
