"""FineTunedModel: a finished model on a volume, and who uses it."""

from typing import Annotated, Literal

from pydantic import Field

from finetune_api.document import Document, LenientDocument
from finetune_api.resources.common import Conditions, ErrorStatus, ObjectName, ShortText, rule, rules
from finetune_api.resources.finetune_job import ModelRef, Task
from finetune_api.resources.finetune_job_status import EvaluationStatus


class ClaimSource(Document):
    """A model directory on a claim of the same namespace."""

    name: ObjectName
    """Name of the PersistentVolumeClaim."""
    path: Annotated[str, Field(max_length=1024)] = ""
    """Folder within the volume; empty is its root."""


class ModelSource(Document):
    """Where the model directory (with its MANIFEST.json) lies."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule("!self.claim.path.split('/').exists(p, p == '..')", "path must not contain '..'", fieldPath=".claim.path")
        )
    }
    claim: ClaimSource
    """A PersistentVolumeClaim of the same namespace."""


class ModelBase(Document):
    """What the model was tuned from, for people and for the guard."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule("has(self.source) != has(self.fineTunedModel)", "exactly one of source and fineTunedModel must be set")
        )
    }
    source: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """Address of a base model."""
    fine_tuned_model: ModelRef | None = None
    """The FineTunedModel that it continues; it cannot be deleted while this one exists."""


class FineTunedModelSpec(Document):
    """Immutable. Written by the operator when a job has published, or by hand to import a model directory."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(rule("self == oldSelf", "spec is immutable: a new model is a new FineTunedModel"))
    }
    task: Task = "chat"
    """What the model has learnt."""
    type: Literal["adapter", "full"]
    """adapter: trained with LoRA; full: all weights trained."""
    base: ModelBase
    """What it was tuned from."""
    source: ModelSource
    """Where its files lie."""


class ArtifactStatus(LenientDocument):
    """Something in the model directory that can be loaded."""

    format: Annotated[str, Field(max_length=32)]
    precision: Annotated[str, Field(max_length=32)]
    path: Annotated[str, Field(max_length=256)]
    size_bytes: int
    sha256: Annotated[str, Field(max_length=80)]


class MissingArtifactStatus(LenientDocument):
    """An artifact that export asked for and that could not be made; the model is whole without it."""

    format: Annotated[str, Field(max_length=32)]
    precision: Annotated[str, Field(max_length=32)]
    reason: Annotated[str, Field(max_length=128)]
    """CamelCase and stable: ParityFailed, ExportUnsupported, ..."""
    message: ShortText
    """What went wrong, and what to do next."""


class LineageStatus(LenientDocument):
    """Where the model comes from."""

    job: Annotated[str, Field(max_length=253)] | None = None
    spec_digest: Annotated[str, Field(max_length=80)] | None = None
    dataset_digest: Annotated[str, Field(max_length=80)] | None = None
    manifest_sha256: Annotated[str, Field(max_length=80)] | None = None


class FineTunedModelStatus(LenientDocument):
    """All of it is rebuilt from MANIFEST.json by an inspect Job, and from who refers to the model."""

    observed_generation: int | None = None
    conditions: Conditions = []
    artifacts: Annotated[list[ArtifactStatus], Field(max_length=16)] = []
    """What can be loaded, from MANIFEST.json."""
    missing_artifacts: Annotated[list[MissingArtifactStatus], Field(max_length=16)] = []
    """What export asked for and could not be made, from MANIFEST.json."""
    size_bytes: int | None = None
    """All files together."""
    size_text: Annotated[str, Field(max_length=32)] | None = None
    """"543 MiB"."""
    base_text: Annotated[str, Field(max_length=1024)] | None = None
    """The base, for the column."""
    score_text: Annotated[str, Field(max_length=64)] | None = None
    """"loss 2.50 (base 4.03)"; "worse than base" behind it where it is so."""
    used_by: Annotated[list[Annotated[str, Field(max_length=128)]], Field(max_length=64)] = []
    """"ModelDeployment/support-bot"; the guard does not rely on it."""
    used_by_text: ShortText | None = None
    """used_by in one line."""
    evaluation: EvaluationStatus | None = None
    gate_passed: bool | None = None
    """Whether it met its evaluation gate."""
    gate_text: Annotated[str, Field(max_length=32)] | None = None
    """passed, failed, or none where the job asked for nothing."""
    lineage: LineageStatus | None = None
    inspect_attempt: int = 0
    """Number of the newest inspect Job, <model>-inspect-<number>."""
    error: ErrorStatus | None = None
