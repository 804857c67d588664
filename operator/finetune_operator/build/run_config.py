"""The run config of a job: its spec as the stage programs see it, with paths instead of claims."""

from finetune_api.resources.common import seconds
from finetune_api.resources.finetune_job import FineTuneJobSpec, Validation, output_name, spec_digest
from finetune_api.resources.finetuned_model import ClaimSource
from finetune_api.resources.source import DataSource
from finetune_api.run_config import (
    JobIdentity,
    RunBase,
    RunConfig,
    RunDataset,
    RunHardware,
    RunLimits,
    RunNetwork,
    RunPaths,
    RunRows,
    RunWorld,
)
from finetune_operator.build.sources import Source, claim_run_source, run_source, spec_sources
from finetune_operator.records import Meta


def run_config(
    meta: Meta,
    spec: FineTuneJobSpec,
    image: str,
    base: ClaimSource | None,
    allowed_private: tuple[str, ...] = (),
    hardware: RunHardware | None = None,
) -> RunConfig:
    """`base` is the claim of spec.base.fineTunedModel; raises ValueError when the spec needs one and there is none.

    `allowed_private` is the administrator's, never the spec's; `hardware` is what is known of it by now.
    """
    return RunConfig(
        job=JobIdentity(name=meta.name, namespace=meta.namespace, uid=meta.uid, spec_digest=spec_digest(spec)),
        task=spec.task,
        base=_base(spec, base),
        dataset=_dataset(spec),
        method=spec.method,
        hyperparameters=spec.hyperparameters,
        checkpoints=spec.checkpoints,
        evaluation=spec.evaluation,
        export=spec.export,
        output_model=output_name(meta.name, spec),
        paths=RunPaths(workspace=workspace_path(meta, spec)),
        world=RunWorld(nodes=spec.training.nodes, processes_per_node=max(1, spec.training.gpus_per_node)),
        hardware=hardware or RunHardware(),
        network=RunNetwork(allowed_private=list(allowed_private)),
        limits=RunLimits(start_deadline=seconds(spec.limits.start_deadline), stall_timeout=seconds(spec.limits.stall_timeout)),
        image=spec.training.pod.image or image,
    )


def workspace_path(meta: Meta, spec: FineTuneJobSpec) -> str:
    """The volume's root when it is the job's own; a folder that no other job has when several share a claim."""
    return f"/workspace/{meta.name}-{meta.uid[:8]}" if spec.workspace.claim_name else "/workspace"


def _base(spec: FineTuneJobSpec, claim: ClaimSource | None) -> RunBase:
    model = spec.base.fine_tuned_model
    if model is None:
        return RunBase(source=run_source(_of(spec, "base")))
    if claim is None:
        raise ValueError(f"FineTunedModel {model.name} is the base, and its claim is not known")
    return RunBase(source=claim_run_source(claim, f"FineTunedModel {model.name}"), fine_tuned_model=model.name)


def _dataset(spec: FineTuneJobSpec) -> RunDataset:
    validation = spec.dataset.validation
    return RunDataset(
        train=_rows(spec, "train", spec.dataset.train),
        validation=_rows(spec, "validation", validation) if validation.source else None,
        split=validation.split,
        limits=spec.dataset.limits,
    )


def _rows(spec: FineTuneJobSpec, role: str, reading: DataSource | Validation) -> RunRows:
    source = run_source(_of(spec, role))
    return RunRows(**source.model_dump(), format=reading.format, columns=reading.columns, template=reading.template, slice=reading.slice)


def _of(spec: FineTuneJobSpec, role: str) -> Source:
    return next(source for source in spec_sources(spec) if source.role == role)
