"""The objects that the tests on a real API server create: small, valid, and without what does not matter."""

from typing import Any

Object = dict[str, Any]
API_VERSION = "finetune.dev/v1alpha1"


def namespace_object(name: str) -> Object:
    """A namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _base(base_model: str) -> Object:
    return {"fineTunedModel": {"name": base_model}} if base_model else {"source": "s3://models/smollm2"}


def job(namespace: str, name: str, *, base_model: str = "", **spec: Any) -> Object:
    """A FineTuneJob from an address, or from an earlier model."""
    return {
        "apiVersion": API_VERSION,
        "kind": "FineTuneJob",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"base": _base(base_model), "dataset": {"train": {"source": "pvc://data/train.jsonl"}}, **spec},
    }


def model(namespace: str, name: str, *, base_model: str = "") -> Object:
    """A FineTunedModel on the claim NAME-model."""
    return {
        "apiVersion": API_VERSION,
        "kind": "FineTunedModel",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"type": "adapter", "base": _base(base_model), "source": {"claim": {"name": f"{name}-model"}}},
    }


def deployment(namespace: str, name: str, of_model: str) -> Object:
    """A ModelDeployment."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"model": {"name": of_model}},
    }


def claim(namespace: str, name: str, of_model: str, owner: Object | None = None) -> Object:
    """A claim that is labelled as the files of a model; `owner` is the model, or the job, as the API server returned it."""
    metadata: Object = {"name": name, "namespace": namespace, "labels": {"finetune.dev/model": of_model}}
    if owner is not None:
        reference = {
            "apiVersion": API_VERSION,
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
        }
        metadata["ownerReferences"] = [reference]
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
