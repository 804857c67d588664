"""The committed examples, made small enough for a few cores."""

from pathlib import Path
from typing import Any

import yaml

from tests.e2e.manifests import BASE, ONE_CORE, SMALL, merge

EXAMPLES = Path(__file__).parents[2] / "examples"
TINY: dict[str, Any] = {"base": BASE, "hyperparameters": {"maxSteps": 6, "epochs": None, "precision": "fp32", "maxSequenceLength": 512}}
ENCODER: dict[str, Any] = {"hyperparameters": {"maxSteps": 45, "epochs": None, "precision": "fp32", "learningRate": 0.0005}}
Object = dict[str, Any]

CHANGES: dict[str, Object] = {
    "chat-tools": TINY,
    "preferences": TINY,
    "completion": TINY,
    "summarization": TINY,
    "sequence-classification": ENCODER,
    "token-classification": ENCODER,
}
"""Changes to an example's job: a smaller base and a shorter run."""


def example(name: str) -> tuple[Object, Object]:
    """The job and the deployment of an example, its gate left out where the base is the tiny model."""
    changes = CHANGES[name]
    job, deployment = (yaml.safe_load((EXAMPLES / name / f"{file}.yaml").read_text()) for file in ("job", "deployment"))
    small = {
        "preparation": {"resources": SMALL},
        "training": {**ONE_CORE},
        "publishing": ONE_CORE,
        "workspace": {"storage": {"size": "1Gi"}},
    }
    gate: Object = {"evaluation": {"gate": []}} if changes is TINY else {}
    job["spec"] = merge(merge(merge(job["spec"], small), changes), gate)
    deployment["spec"]["resources"] = SMALL
    return job, deployment
