"""The Job that verifies the checksums of a model directory and reports its contents."""

from typing import Any

from finetune_api.resources.common import PodSettings, Resources
from finetune_api.resources.finetuned_model import ClaimSource
from finetune_operator.build.batch_job import batch_job
from finetune_operator.build.owner import child_metadata
from finetune_operator.build.pod import Mount, PodShape
from finetune_operator.objects.names import ATTEMPT_LABEL, MANAGED_BY, MODEL_LABEL, STAGE_CONTAINER, STAGE_LABEL, inspect_job
from finetune_operator.objects.records import Meta
from finetune_operator.settings import Settings


def inspect_job_object(meta: Meta, claim: ClaimSource, number: int, settings: Settings, pod: PodSettings) -> dict[str, Any]:
    """Mounts the claim read-only; `pod` determines where it runs."""
    labels = {**MANAGED_BY, MODEL_LABEL: meta.name, STAGE_LABEL: "inspect", ATTEMPT_LABEL: str(number)}
    shape = PodShape(
        container=STAGE_CONTAINER,
        image=settings.trainer_image,
        args=("inspect", "--model-dir", model_folder(claim)),
        pod=pod,
        resources=Resources(),
        labels=labels,
        mounts=(Mount("model", "/model", claim=claim.name),),
        more_spec={"restartPolicy": "Never"},
    )
    return batch_job(child_metadata("FineTunedModel", meta, inspect_job(meta.name, number), labels), shape, settings)


def model_folder(claim: ClaimSource) -> str:
    """Path of the model directory in a pod that mounts its claim at /model."""
    return f"/model/{claim.path.strip('/')}".rstrip("/")
