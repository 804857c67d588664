"""The FineTunedModel that a job registers."""

from typing import Any

from finetune_api.resources import API_VERSION
from finetune_api.resources.finetune_job import FineTuneJobSpec, spec_digest
from finetune_api.resources.finetuned_model import ClaimSource, FineTunedModelSpec, ModelBase, ModelSource
from finetune_operator.objects.names import JOB_LABEL, JOB_UID_ANNOTATION, MANAGED_BY, SPEC_DIGEST_ANNOTATION
from finetune_operator.objects.records import Meta


def model_object(meta: Meta, spec: FineTuneJobSpec, name: str, claim: str) -> dict[str, Any]:
    """Not owned by the job, which it outlives; annotations refer to the job. `claim` has its files."""
    content = FineTunedModelSpec(
        task=spec.task,
        type="full" if spec.method.type == "full" else "adapter",
        base=ModelBase(source=spec.base.source, fine_tuned_model=spec.base.fine_tuned_model),
        source=ModelSource(claim=ClaimSource(name=claim)),
    )
    return {
        "apiVersion": API_VERSION,
        "kind": "FineTunedModel",
        "metadata": {
            "name": name,
            "namespace": meta.namespace,
            "labels": {**spec.output.labels, **MANAGED_BY, JOB_LABEL: meta.name},
            "annotations": {SPEC_DIGEST_ANNOTATION: spec_digest(spec), JOB_UID_ANNOTATION: meta.uid},
        },
        "spec": content.to_dict(),
    }
