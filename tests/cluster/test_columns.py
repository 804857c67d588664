"""What `kubectl get` prints."""

import re
from typing import Any

import pytest

from tests.cluster.api import Api
from tests.cluster.control_plane import ControlPlane
from tests.cluster.objects import Object, deployment, job, model

READY = {"type": "Ready", "status": "True", "reason": "Verified", "lastTransitionTime": "2026-01-01T00:00:00Z"}
NOT_READY = {"type": "Ready", "status": "False", "reason": "ImagePullFailed", "lastTransitionTime": "2026-01-01T00:00:00Z"}

# arguments of kubectl get, object, its status, header, row; the age is left out
TABLES: list[tuple[str, Object, dict[str, Any], str, str]] = [
    (
        "ftj",
        job("NS", "bot"),
        {"phase": "Training", "progressText": "62% (310/500)", "eta": "1h12m", "lossText": "2.31", "model": "bot"},
        "NAME PHASE PROGRESS ETA LOSS GATE MODEL AGE",
        "bot Training 62% (310/500) 1h12m 2.31 bot",
    ),
    (
        "ftj -o wide",
        job("NS", "bot"),
        {
            "phase": "Failed", "progressText": "out of memory", "model": "bot", "base": "s3://models/smollm2", "attemptText": "train 2",
            "reason": "OutOfMemory",
        },
        "NAME PHASE PROGRESS ETA LOSS GATE MODEL AGE BASE VALIDATION-LOSS METHOD ATTEMPT REASON",
        "bot Failed out of memory bot s3://models/smollm2 lora train 2 OutOfMemory",
    ),
    (
        "ftm",
        model("NS", "bot"),
        {
            "baseText": "smollm2", "scoreText": "loss 22.00 (base 4.03), worse than base", "gateText": "failed", "usedByText": "a, b",
            "sizeText": "543 MiB", "conditions": [READY],
        },
        "NAME BASE TYPE SCORE GATE USED BY SIZE READY AGE",
        "bot smollm2 adapter loss 22.00 (base 4.03), worse than base failed a, b 543 MiB True",
    ),
    (
        "ftj",
        job("NS", "bot"),
        {"phase": "Succeeded", "progressText": "100% (500/500)", "lossText": "2.500", "gateText": "passed", "model": "bot"},
        "NAME PHASE PROGRESS ETA LOSS GATE MODEL AGE",
        "bot Succeeded 100% (500/500) 2.500 passed bot",
    ),
    (
        "ftj",
        job("NS", "bot"),
        {"phase": "Queued", "progressText": "no node has room", "model": "bot"},
        "NAME PHASE PROGRESS ETA LOSS GATE MODEL AGE",
        "bot Queued no node has room bot",
    ),
    (
        "mdep",
        deployment("NS", "bot", "bot-v9"),
        {"servingText": "bot-v1", "readyText": "1/1", "url": "http://bot.NS:80", "conditions": [NOT_READY]},
        "NAME MODEL SERVING READY STATUS ENGINE URL AGE",
        "bot bot-v9 bot-v1 1/1 ImagePullFailed onnx http://bot.NS:80",
    ),
]  # fmt: skip
AGE = re.compile(r"^\d+s$")


@pytest.mark.parametrize(("arguments", "obj", "status", "header", "row"), TABLES, ids=[row[0] for row in TABLES])
def test_kubectl_get(
    api: Api, control_plane: ControlPlane, namespace: str, arguments: str, obj: Object, status: Object, header: str, row: str
) -> None:
    """The columns that a new user reads, in this order, by the short name."""
    api.create({**obj, "metadata": {**obj["metadata"], "namespace": namespace}})
    api.patch(obj["kind"], obj["metadata"]["name"], {"status": status}, namespace, "status")
    first, second = control_plane.kubectl("-n", namespace, "get", *arguments.split()).stdout.splitlines()
    assert first.split() == header.split()
    assert [word for word in second.split() if word != "<none>" and not AGE.match(word)] == row.split()


def test_one_word_lists_everything(api: Api, control_plane: ControlPlane, namespace: str) -> None:
    """`kubectl get finetune` shows all three kinds: the category."""
    for obj in (job(namespace, "tune"), model(namespace, "bot"), deployment(namespace, "serve", "bot")):
        api.create(obj)
    shown = control_plane.kubectl("-n", namespace, "get", "finetune", "-o", "name").stdout.split()
    assert sorted(shown) == [
        "finetunedmodel.finetune.dev/bot",
        "finetunejob.finetune.dev/tune",
        "modeldeployment.finetune.dev/serve",
    ]
