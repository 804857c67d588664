"""The headless Service through which the ranks of a training find each other."""

from typing import Any

from finetune_operator.build.owner import child_metadata
from finetune_operator.objects.names import JOB_LABEL, STAGE_LABEL, train_service
from finetune_operator.objects.records import Meta

MASTER_PORT = 29400


def train_service_object(meta: Meta) -> dict[str, Any]:
    """Names resolve before pods are ready: the ranks connect before any pod is ready."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": child_metadata("FineTuneJob", meta, train_service(meta.name), {JOB_LABEL: meta.name}),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {JOB_LABEL: meta.name, STAGE_LABEL: "train"},
            "ports": [{"name": "rendezvous", "port": MASTER_PORT, "protocol": "TCP"}],
        },
    }
