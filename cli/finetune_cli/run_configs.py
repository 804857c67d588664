"""The run config that a command line, or a manifest on a laptop, comes to: what the operator makes of a FineTuneJob in a cluster."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from finetune_api.resources.finetune_job import DatasetLimits, FineTuneJobSpec, Split, Validation
from finetune_api.resources.learning import Hyperparameters
from finetune_api.resources.source import DataSource, RowTemplate, parse_address
from finetune_api.run_config import JobIdentity, RunBase, RunConfig, RunDataset, RunPaths, RunRows, RunSource
from finetune_cli.problems import Unusable

if TYPE_CHECKING:
    from finetune_cli.manifest import Manifest

IN_CLUSTER = ("pvc", "configmap")


def of_rows(chosen: argparse.Namespace, workspace: str) -> RunConfig:
    """A file of rows and the options beside it."""
    if (chosen.prompt is None) != (chosen.completion is None):
        raise Unusable("--prompt and --completion build a row together: give both")
    reading = {
        "format": chosen.format,
        "columns": dict(column(text) for text in chosen.columns),
        "template": RowTemplate(prompt=chosen.prompt, completion=chosen.completion) if chosen.prompt else None,
        "slice": chosen.slice,
    }
    return RunConfig(
        job=JobIdentity(name="validate"),
        task=chosen.task,
        base=base(chosen.model),
        dataset=RunDataset(
            train=RunRows(**local(chosen.file), **reading),
            validation=RunRows(**local(chosen.validation), **{**reading, "slice": None}) if chosen.validation else None,
            split=None if chosen.validation else Split(),
            limits=DatasetLimits(max_invalid_fraction=chosen.max_invalid_fraction),
        ),
        hyperparameters=Hyperparameters(max_sequence_length=chosen.max_sequence_length),
        output_model="validate",
        paths=RunPaths(workspace=workspace),
    )


def of_manifest(chosen: argparse.Namespace, manifest: "Manifest", workspace: str) -> RunConfig:
    """A FineTuneJob, its claims and config maps replaced by files of this machine."""
    spec = manifest.spec
    validation = spec.dataset.validation
    return RunConfig(
        job=JobIdentity(name=manifest.name or "validate"),
        task=spec.task,
        base=base(chosen.model),
        dataset=RunDataset(
            train=rows(spec.dataset.train, chosen.data, "--data", "dataset.train.source"),
            validation=rows(validation, chosen.validation, "--validation", "dataset.validation.source") if validation.source else None,
            split=validation.split,
            limits=spec.dataset.limits,
        ),
        method=spec.method,
        hyperparameters=spec.hyperparameters,
        output_model="validate",
        paths=RunPaths(workspace=workspace),
    )


def is_reachable(spec: FineTuneJobSpec, chosen: argparse.Namespace) -> bool:
    """False when a file lies in the cluster and no option says where it is on this machine."""
    sources = [(spec.dataset.train.source, chosen.data), (spec.dataset.validation.source, chosen.validation)]
    return all(given or source is None or parse_address(source).scheme not in IN_CLUSTER for source, given in sources)


def rows(reading: DataSource | Validation, given: Path | None, option: str, param: str) -> RunRows:
    """A file of rows of a manifest: `given`, or its own address, read with this machine's credentials."""
    how = {"format": reading.format, "columns": reading.columns, "template": reading.template, "slice": reading.slice}
    if given is not None:
        return RunRows(**local(given), **how)
    assert reading.source is not None
    if parse_address(reading.source).scheme in IN_CLUSTER:
        raise Unusable(f"{param} {reading.source} lies in the cluster: give the file with {option}")
    return RunRows(uri=reading.source, shown_as=reading.source, **how)


def local(path: Path) -> dict[str, str]:
    """A file of this machine as a source."""
    return {"uri": str(path.absolute()), "shown_as": str(path)}


def base(folder: str | None) -> RunBase:
    """The base model's folder; without one nothing is tokenised, and the address is never read."""
    return RunBase(source=RunSource(uri=str(Path(folder).absolute()) if folder else "/", shown_as=folder or ""))


def column(text: str) -> tuple[str, str]:
    """NAME=COLUMN"""
    name, separator, found = text.partition("=")
    if not separator or not name or not found:
        raise Unusable(f"--columns {text}: expected NAME=COLUMN, such as prompt=question")
    return name, found
