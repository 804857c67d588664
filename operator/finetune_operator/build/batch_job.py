"""A batch/v1 Job that runs its pods once: retries are new Jobs, counted in our status."""

from typing import Any

from finetune_operator.build.pod import PodShape, pod_template
from finetune_operator.settings import Settings


def batch_job(metadata: dict[str, Any], shape: PodShape, settings: Settings, pods: int = 1) -> dict[str, Any]:
    """An Indexed Job of `pods` pods. The first failed pod fails the Job, and a condition of the Job has the reason.

    `podReplacementPolicy: Failed` prevents two pods with the same rank.
    """
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": 0,
            "completionMode": "Indexed",
            "completions": pods,
            "parallelism": pods,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {"action": "FailJob", "onExitCodes": {"containerName": shape.container, "operator": "NotIn", "values": [0]}},
                ]
            },
            "template": pod_template(shape, settings),
        },
    }
