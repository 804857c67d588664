"""Deployments of checkpoints: one that the model does not have is refused with the steps that it has."""

import json

import pytest

from tests.cluster.objects import Object, claim, deployment, model
from tests.cluster.operator.conftest import Start
from tests.cluster.operator.simulation import Space

pytestmark = pytest.mark.cluster
VERIFIED = {
    "sizeBytes": 300,
    "step": 60,
    "artifacts": [{"format": "onnx", "precision": "fp32", "path": "onnx/fp32", "sizeBytes": 100, "sha256": "a" * 64}],
    "checkpoints": [{"step": step, "path": f"checkpoints/step-{step}", "sizeBytes": 100} for step in (20, 40)],
}
"""What an inspection has found."""


def test_a_checkpoint_that_is_not_there(space: Space, start: Start) -> None:
    """Ready=False names the steps, and nothing is created until the spec names one of them."""
    start()
    space.apply(claim(space.name, "bot-model", "bot"), model(space.name, "bot"))
    space.wait("the model is looked at", lambda: (space.get("finetunedmodel", "bot") or {}).get("status"))
    space.kubectl("patch", "finetunedmodel", "bot", "--subresource=status", "--type=merge", "-p", json.dumps({"status": VERIFIED}))
    wanted = deployment(space.name, "web", "bot")
    wanted["spec"]["model"]["checkpoint"] = 30
    space.apply(wanted)

    def refused() -> str:
        found = space.get("modeldeployment", "web") or {}
        conditions: list[Object] = found.get("status", {}).get("conditions", [])
        return next((c["message"] for c in conditions if (c["type"], c["reason"]) == ("Ready", "CheckpointNotFound")), "")

    message = space.wait("it is refused", refused)
    assert "no checkpoint of step 30: it has the steps 20, 40, and the model itself is of step 60" in message
    assert space.get("deployment", "web") is None
    wanted["spec"]["model"]["checkpoint"] = 40
    space.apply(wanted)
    workload = space.wait("it rolls out", lambda: space.get("deployment", "web"))
    assert "/model/checkpoints/step-40" in workload["spec"]["template"]["spec"]["containers"][0]["args"]
