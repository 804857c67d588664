"""The run config of a job in a cluster: claims as mount paths, Secrets as prefixes of environment variables."""

from collections.abc import Sequence

from finetune_api.resources.finetune_job import FineTuneJobSpec, spec_digest
from finetune_api.resources.finetuned_model import ClaimSource
from finetune_api.run_config import GpuType, JobIdentity, Place, Prices, RunBase, RunConfig, RunNetwork, build_run_config, hardware
from finetune_operator.build.sources import claim_run_source, run_source
from finetune_operator.objects.records import Meta
from finetune_operator.settings import Settings

WORKSPACE_MOUNT = "/workspace"


def run_config(
    meta: Meta, spec: FineTuneJobSpec, image: str, base: ClaimSource | None, settings: Settings, gpus: Sequence[GpuType] = ()
) -> RunConfig:
    """`base` is the claim of spec.base.fineTunedModel; raises ValueError when the spec needs one and it is None.

    `gpus`: GPUs of the nodes that the training may run on; empty if unknown.
    """
    model = spec.base.fine_tuned_model
    place = Place(
        job=JobIdentity(name=meta.name, namespace=meta.namespace, uid=meta.uid, spec_digest=spec_digest(spec)),
        resolve=run_source,
        base_model=_base_model(model.name, base) if base and model else None,
        workspace=workspace_path(meta, spec),
        hardware=hardware(spec, gpus, Prices(settings.prices, settings.currency)),
        network=RunNetwork(allowed_private=list(settings.allowed_private)),
        image=image,
    )
    return build_run_config(spec, place)


def workspace_path(meta: Meta, spec: FineTuneJobSpec) -> str:
    """The root of the job's own volume; a folder for this job on a claim that jobs may share."""
    return f"{WORKSPACE_MOUNT}/{meta.name}-{meta.uid[:8]}" if spec.workspace.claim_name else WORKSPACE_MOUNT


def _base_model(name: str, claim: ClaimSource) -> RunBase:
    return RunBase(source=claim_run_source(claim, f"FineTunedModel {name}"), fine_tuned_model=name)
