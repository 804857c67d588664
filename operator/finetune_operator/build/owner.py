"""Owner references and labels of children."""

from collections.abc import Mapping
from typing import Any, Literal

from finetune_api.resources import API_VERSION
from finetune_operator.objects.names import MANAGED_BY
from finetune_operator.objects.records import Meta

KindName = Literal["FineTuneJob", "FineTunedModel", "ModelDeployment"]


def owner_reference(kind: KindName, meta: Meta) -> dict[str, Any]:
    """Makes an object the controller of a child, which is garbage-collected with it."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "name": meta.name,
        "uid": meta.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def child_metadata(
    kind: KindName, owner: Meta, name: str, labels: Mapping[str, str], annotations: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Metadata of a child. Labels and annotations of the owner are not inherited, because GitOps tools track objects by them."""
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": owner.namespace,
        "labels": {**MANAGED_BY, **labels},
        "ownerReferences": [owner_reference(kind, owner)],
    }
    if annotations:
        metadata["annotations"] = dict(annotations)
    return metadata
