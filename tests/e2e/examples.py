"""The committed examples, made small enough for a few cores."""

from pathlib import Path
from typing import Any

import yaml

from tests.e2e.manifests import BASE, ONE_CORE, SMALL, merge

EXAMPLES = Path(__file__).parents[2] / "examples"
TINY: dict[str, Any] = {"base": BASE, "hyperparameters": {"maxSteps": 6, "epochs": None, "precision": "fp32", "maxSequenceLength": 512}}
ENCODER: dict[str, Any] = {"hyperparameters": {"maxSteps": 45, "epochs": None, "precision": "fp32", "learningRate": 0.0005}}
Object = dict[str, Any]

TASKS: dict[str, Object] = {
    "chat-tools": TINY,
    "preferences": TINY,
    "completion": TINY,
    "summarization": TINY,
    "sequence-classification": ENCODER,
    "token-classification": ENCODER,
    "text-embedding": ENCODER,
}
"""The example of each task: changes to its job, a smaller base and a shorter run."""
SETTINGS: dict[str, Object] = {
    "qlora": TINY,
    "ia3": TINY,
    "pissa": TINY,
    "two-nodes": TINY,
    "deepspeed": TINY,
    "tensor-parallel": TINY,
    "tracking": TINY,
    "custom-loss": ENCODER,
    "orpo": TINY,
    "kto": TINY,
    "checkpoints": ENCODER,
    "checkpoint-store": TINY,
    "balanced-classes": ENCODER,
    "early-stopping": merge(ENCODER, {"hyperparameters": {"maxSteps": 200}}),
}
"""Examples of how a model is trained."""


def example(name: str) -> list[Object]:
    """The job of an example and, if there are such, its ConfigMap and the deployment. The gate is left out where the base is the tiny
    model."""
    changes = {**TASKS, **SETTINGS}[name]
    kinds = ("job", "configmap", "deployment")
    files = {kind: file for kind in kinds if (file := EXAMPLES / name / f"{kind}.yaml").exists()}
    found = {kind: yaml.safe_load(file.read_text()) for kind, file in files.items()}
    job = found["job"]
    small = {
        "preparation": {"resources": SMALL},
        "training": {**ONE_CORE},
        "publishing": ONE_CORE,
        "workspace": {"storage": {"size": "1Gi"}},
    }
    gate: Object = {"evaluation": {"gate": []}} if changes is TINY else {}
    job["spec"] = merge(merge(merge(job["spec"], small), changes), gate)
    if "deployment" in found:
        found["deployment"]["spec"]["resources"] = SMALL
    return list(found.values())
