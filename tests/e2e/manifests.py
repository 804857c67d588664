"""The objects that the end-to-end tests apply: small jobs on the two-layer model."""

from typing import Any

S3_SECRET = "s3-credentials"
CREDENTIALS = {"secretRef": {"name": S3_SECRET}}
BASE = {"source": "s3://models/smollm2-5m", "credentials": CREDENTIALS}
TRAIN = {"source": "s3://datasets/support-bot/train.jsonl", "credentials": CREDENTIALS}
SMALL = {"requests": {"cpu": "50m", "memory": "256Mi"}}
ONE_CORE = {"resources": {**SMALL, "limits": {"cpu": "1"}}, "pod": {"env": [{"name": "OMP_NUM_THREADS", "value": "1"}]}}
"""Several jobs run at a time on few cores: threads that spin for each other's cores would make all of them slow."""


def merge(into: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`into` with `changes` laid over it, dict by dict; None removes a key."""
    result = dict(into)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merge(result[key], value)
        else:
            result[key] = value
    return result


def finetune_job(name: str, **changes: Any) -> dict[str, Any]:
    """A FineTuneJob of a few seconds; `changes` are laid over its spec."""
    spec = {
        "base": BASE,
        "dataset": {"train": TRAIN, "validation": {"split": {"fraction": 0.1, "seed": 7}}},
        "method": {"type": "lora", "lora": {"rank": 4, "alpha": 8}},
        "hyperparameters": {"maxSteps": 6, "batchSize": 4, "maxSequenceLength": 128, "precision": "fp32", "learningRate": 0.001},
        "preparation": {"resources": SMALL},
        "training": ONE_CORE,
        "publishing": ONE_CORE,
        "evaluation": {"maxExamples": 8},
        "workspace": {"storage": {"size": "1Gi"}},
    }
    return {"apiVersion": "finetune.dev/v1alpha1", "kind": "FineTuneJob", "metadata": {"name": name}, "spec": merge(spec, changes)}


def model_deployment(name: str, model: str, **changes: Any) -> dict[str, Any]:
    """A ModelDeployment of one small replica."""
    spec = {"model": {"name": model}, "engine": "onnx", "resources": SMALL}
    return {"apiVersion": "finetune.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": name}, "spec": merge(spec, changes)}
