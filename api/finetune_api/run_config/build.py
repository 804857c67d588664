"""From a FineTuneJob's spec to its run config: the operator and the command line differ in the `Place` alone."""

from collections.abc import Callable
from dataclasses import dataclass, field

from finetune_api.resources.common import seconds
from finetune_api.resources.dataset import Validation
from finetune_api.resources.finetune_job import FineTuneJobSpec, output_name
from finetune_api.resources.source import DataSource
from finetune_api.run_config.contract import (
    JobIdentity,
    RunBase,
    RunConfig,
    RunCustomLoss,
    RunDataset,
    RunHardware,
    RunHyperparameters,
    RunLimits,
    RunMethod,
    RunNetwork,
    RunPaths,
    RunRows,
    RunSft,
    RunSource,
    RunStrategy,
    RunWorld,
)
from finetune_api.run_config.sources import Source, spec_sources


@dataclass(frozen=True)
class Place:
    """Where the stages will run, as far as the spec does not say it."""

    job: JobIdentity
    resolve: Callable[[Source], RunSource]
    """Where the bytes of an address of the spec are found there."""
    base_model: RunBase | None = None
    """What spec.base.fineTunedModel is there."""
    workspace: str = "/workspace"
    hardware: RunHardware = field(default_factory=RunHardware)
    network: RunNetwork = field(default_factory=RunNetwork)
    image: str = ""
    """The operator's trainer image; the spec's own goes before it."""


def build_run_config(spec: FineTuneJobSpec, place: Place) -> RunConfig:
    """The spec as the stage programs see it. Raises ValueError when its base is a FineTunedModel that the place does not have."""
    return RunConfig(
        job=place.job,
        task=spec.task,
        base=_base(spec, place),
        dataset=_dataset(spec, place),
        method=_method(spec, place),
        strategy=RunStrategy(**dict(spec.training.strategy)),
        hyperparameters=RunHyperparameters(**dict(spec.hyperparameters)),
        checkpoints=spec.checkpoints,
        evaluation=spec.evaluation,
        export=spec.export.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True),
        tracking=spec.tracking,
        output_model=output_name(place.job.name, spec),
        paths=RunPaths(workspace=place.workspace),
        world=RunWorld(nodes=spec.training.nodes, processes_per_node=max(1, spec.training.gpus_per_node)),
        hardware=place.hardware,
        network=place.network,
        limits=RunLimits(start_deadline=seconds(spec.limits.start_deadline), stall_timeout=seconds(spec.limits.stall_timeout)),
        image=spec.training.pod.image or place.image,
    )


def _base(spec: FineTuneJobSpec, place: Place) -> RunBase:
    model = spec.base.fine_tuned_model
    if model is None:
        return RunBase(source=place.resolve(_source(spec, "base")))
    if place.base_model is None:
        raise ValueError(f"FineTunedModel {model.name} is the base, and its claim is not known")
    return place.base_model


def _method(spec: FineTuneJobSpec, place: Place) -> RunMethod:
    if (sft := spec.method.sft) is None:
        return RunMethod(**dict(spec.method))
    loss = sft.custom_loss
    code = RunCustomLoss(**place.resolve(_source(spec, "loss")).model_dump(), function=loss.function) if loss else None
    return RunMethod(**dict(spec.method) | {"sft": RunSft(**dict(sft) | {"custom_loss": code})})


def _dataset(spec: FineTuneJobSpec, place: Place) -> RunDataset:
    train, validation = spec.dataset.train, spec.dataset.validation
    return RunDataset(
        train=_rows(train, place.resolve(_source(spec, "train"))),
        validation=_rows(validation, place.resolve(_source(spec, "validation"))) if validation.source else None,
        split=validation.split,
        limits=spec.dataset.limits,
    )


def _rows(reading: DataSource | Validation, source: RunSource) -> RunRows:
    return RunRows(**source.model_dump(), format=reading.format, columns=reading.columns, template=reading.template, slice=reading.slice)


def _source(spec: FineTuneJobSpec, role: str) -> Source:
    return next(source for source in spec_sources(spec) if source.role == role)
