"""The run config of a command line, or of a manifest on a laptop: the operator's builder with files of this machine."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from finetune_api.resources.dataset import Dataset, DatasetLimits, Split, Validation
from finetune_api.resources.finetune_job import Base, FineTuneJobSpec
from finetune_api.resources.learning import Hyperparameters
from finetune_api.resources.source import DataSource, RowTemplate, parse_address
from finetune_api.run_config import JobIdentity, Place, RunBase, RunConfig, RunSource, Source, build_run_config, hardware, spec_sources
from finetune_cli.problems import Unusable

if TYPE_CHECKING:
    from finetune_cli.manifest import JobManifest

IN_CLUSTER = ("pvc", "configmap")
GIVEN_AS = "configmap://files/{}"
"""Address of a file that an option names; it is resolved by that option and never read."""
KEYS_OF_THIS_MACHINE = {
    "s3": ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"),
    "gs": ("GOOGLE_APPLICATION_CREDENTIALS_JSON",),
    "abfs": ("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN"),
    "hf": ("HF_TOKEN",),
    "https": ("HTTP_BEARER_TOKEN", "HTTP_USERNAME"),
    "http": ("HTTP_BEARER_TOKEN", "HTTP_USERNAME"),
}
"""Environment variables that take the place of a Secret: its keys, without the prefix that a pod puts before them."""


def of_rows(chosen: argparse.Namespace, workspace: str) -> RunConfig:
    """A file of rows and the options beside it."""
    if (chosen.prompt is None) != (chosen.completion is None):
        raise Unusable("--prompt and --completion build a row together: give both")
    reading = {
        "format": chosen.format,
        "columns": dict(pair for text in chosen.columns for pair in columns(text)),
        "template": RowTemplate(prompt=chosen.prompt, completion=chosen.completion) if chosen.prompt is not None else None,
    }
    validation = Validation(source=GIVEN_AS.format("validation"), **reading) if chosen.validation else Validation(split=Split())
    spec = FineTuneJobSpec(
        base=Base(source="pvc://files/base"),
        dataset=Dataset(
            train=DataSource(source=GIVEN_AS.format("train"), slice=chosen.slice, **reading),
            validation=validation,
            limits=DatasetLimits(max_invalid_fraction=chosen.max_invalid_fraction),
        ),
        hyperparameters=Hyperparameters(max_sequence_length=chosen.max_sequence_length),
    )
    given = {"train": chosen.file, "validation": chosen.validation}
    config = build_run_config(spec, Laptop(given, chosen.model, {}).place("validate", workspace, spec))
    return config.model_copy(update={"task": chosen.task})  # the custom resource names this project's tasks only


def of_manifest(chosen: argparse.Namespace, manifest: "JobManifest", workspace: str, environment: dict[str, str]) -> RunConfig:
    """A FineTuneJob, with files of this machine where the options name them."""
    spec = manifest.spec
    laptop = laptop_of(chosen, environment)
    return build_run_config(spec, laptop.place(manifest.name or "validate", workspace, spec))


def unreachable(spec: FineTuneJobSpec, chosen: argparse.Namespace, environment: dict[str, str]) -> list[str]:
    """What keeps rows and code from being read here, an item each with the next step; empty when all can be."""
    laptop = laptop_of(chosen, environment)
    found = (laptop.obstacle(source) for source in spec_sources(spec) if source.role != "base")
    return [obstacle for obstacle in found if obstacle]


def laptop_of(chosen: argparse.Namespace, environment: dict[str, str]) -> "Laptop":
    """With the files that the options for a manifest name."""
    return Laptop({"train": chosen.data, "validation": chosen.validation, "loss": chosen.loss}, chosen.model, environment)


class Laptop:
    """Where the sources of a spec are found on this machine."""

    OPTIONS = {"train": "--data", "validation": "--validation", "loss": "--loss"}

    def __init__(self, given: dict[str, Path | None], model: str | None, environment: dict[str, str]) -> None:
        self.given, self.model, self.environment = given, model, environment

    def place(self, name: str, workspace: str, spec: FineTuneJobSpec) -> Place:
        """For the builder."""
        return Place(
            job=JobIdentity(name=name),
            resolve=self.resolve,
            base_model=RunBase(source=self.base()),
            workspace=workspace,
            hardware=hardware(spec),
        )

    def resolve(self, source: Source) -> RunSource:
        """The file that an option names, or the address itself, read with this machine's credentials."""
        if source.role == "base":
            return self.base()
        if path := self.given.get(source.role):
            return RunSource(uri=str(path.absolute()), shown_as=str(path))
        if obstacle := self.obstacle(source):
            raise Unusable(obstacle)
        return RunSource(uri=source.address)  # messages show it without the signature that a web address may carry

    def base(self) -> RunSource:
        """The base model's folder; without one nothing is tokenised, and the address is never read."""
        return RunSource(uri=str(Path(self.model).absolute()) if self.model else "/", shown_as=self.model or "")

    def obstacle(self, source: Source) -> str | None:
        """Why rows or code cannot be read here, and what to do."""
        if self.given.get(source.role):
            return None
        scheme, option = parse_address(source.address).scheme, self.OPTIONS[source.role]
        if scheme in IN_CLUSTER:
            return f"spec.{source.field}: {source.address} is in the cluster: give a local copy with {option} FILE"
        keys = KEYS_OF_THIS_MACHINE[scheme]
        if source.credentials and not any(self.environment.get(key) for key in keys):
            secret = source.credentials.secret_ref.name
            return (
                f"spec.{source.field}: {source.address} needs the credentials of Secret {secret}, which is in the cluster: "
                f"name a local copy with {option} FILE, or set {' or '.join(keys)} in the environment"
            )
        return None


def columns(text: str) -> list[tuple[str, str]]:
    """NAME=COLUMN, or several with commas between them. A comma in a column's name is kept: what follows it has no "="."""
    pairs: list[str] = []
    for part in text.split(","):
        if "=" in part or not pairs:
            pairs.append(part)
        else:
            pairs[-1] += f",{part}"
    return [column(pair) for pair in pairs]


def column(text: str) -> tuple[str, str]:
    """One of them."""
    name, separator, found = text.partition("=")
    if not separator or not name or not found:
        raise Unusable(f"--columns {text}: expected NAME=COLUMN, such as prompt=question")
    return name.strip(), found
