"""The two claims of a job: the workspace, deleted with the job, and the model volume, deleted with the model."""

from collections.abc import Mapping
from typing import Any

from finetune_api.resources.common import Quantity, VolumeClaim
from finetune_operator.build.owner import KindName, child_metadata
from finetune_operator.objects.names import JOB_LABEL, workspace_claim
from finetune_operator.objects.records import Meta

GIB = 1024**3


def workspace_claim_object(meta: Meta, storage: VolumeClaim, default_size: str) -> dict[str, Any]:
    """The volume for downloads, prepared rows and checkpoints."""
    metadata = child_metadata("FineTuneJob", meta, workspace_claim(meta.name), {JOB_LABEL: meta.name})
    return _claim(metadata, storage, storage.size or default_size)


def model_claim_object(
    kind: KindName, owner: Meta, name: str, labels: Mapping[str, str], storage: VolumeClaim, size: Quantity
) -> dict[str, Any]:
    """The volume of the model: owned by the job until the FineTunedModel exists, then by that."""
    return _claim(child_metadata(kind, owner, name, labels), storage, size)


def model_volume_size(storage: VolumeClaim, model_bytes: int | None) -> Quantity:
    """The requested size, or prepare's estimate plus 20 %, in whole Gi."""
    if storage.size:
        return storage.size
    return f"{max(1, -(-(model_bytes or 0) * 6 // (5 * GIB)))}Gi"


def _claim(metadata: dict[str, Any], storage: VolumeClaim, size: Quantity) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "accessModes": [storage.access_mode],
        "resources": {"requests": {"storage": size}},
    }
    if storage.storage_class_name:
        spec["storageClassName"] = storage.storage_class_name
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
