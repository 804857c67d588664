"""FineTunedModel: a finished model on a volume, and who uses it."""

from typing import Annotated, Literal

from pydantic import Field

from finetune_api.document import Document, LenientDocument
from finetune_api.resources.common import Conditions, ErrorStatus, ObjectName, ShortText, rule, rules
from finetune_api.resources.finetune_job import ModelRef, TaskName
from finetune_api.resources.finetune_job_status import EvaluationStatus


class ClaimSource(Document):
    """A model directory on a claim in the same namespace."""

    name: ObjectName
    """Name of the PersistentVolumeClaim."""
    path: Annotated[str, Field(max_length=1024)] = ""
    """Folder within the volume. Defaults to the root."""


class ModelSource(Document):
    """Location of the model directory, which contains MANIFEST.json."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule("!self.claim.path.split('/').exists(p, p == '..')", "path must not contain '..'", fieldPath=".claim.path")
        )
    }
    claim: ClaimSource
    """A PersistentVolumeClaim in the same namespace."""


class ModelBase(Document):
    """The model that this model was tuned from. Exactly one of source and fineTunedModel must be set."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule("has(self.source) != has(self.fineTunedModel)", "exactly one of source and fineTunedModel must be set")
        )
    }
    source: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """Address of a base model."""
    fine_tuned_model: ModelRef | None = None
    """The FineTunedModel that this model was tuned from. It cannot be deleted while this model exists."""


class FineTunedModelSpec(Document):
    """Immutable. Created by the operator when a job publishes its model, or by a user to import a model directory."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(rule("self == oldSelf", "spec is immutable: create a new FineTunedModel instead"))
    }
    task: TaskName = "chat"
    """The task that the model was trained for."""
    type: Literal["adapter", "full"]
    """adapter: trained with an adapter (LoRA, QLoRA, IA3), which is merged; full: all weights trained."""
    base: ModelBase
    """base is the model that this model was tuned from."""
    source: ModelSource
    """source is the location of the model's files."""


class ArtifactStatus(LenientDocument):
    """A loadable artifact in the model directory."""

    format: Annotated[str, Field(max_length=32)]
    precision: Annotated[str, Field(max_length=32)]
    path: Annotated[str, Field(max_length=256)]
    size_bytes: int
    sha256: Annotated[str, Field(max_length=80)]


class MissingArtifactStatus(LenientDocument):
    """A requested artifact that could not be created. The model is usable without it."""

    format: Annotated[str, Field(max_length=32)]
    precision: Annotated[str, Field(max_length=32)]
    checkpoint: int | None = None
    """Step of the checkpoint that lacks it. Not set for the model itself."""
    reason: Annotated[str, Field(max_length=128)]
    """Stable machine-readable reason in CamelCase: ParityFailed, ExportUnsupported, ..."""
    message: ShortText
    """What went wrong, and what to do next."""


class PublishedCheckpointStatus(LenientDocument):
    """Another step of the same training, which a ModelDeployment can serve."""

    step: int
    """Number of optimizer steps; the value for model.checkpoint of a ModelDeployment."""
    path: Annotated[str, Field(max_length=256)]
    """Folder in the model directory: a model directory of its own."""
    loss: float | None = None
    """Training loss of its step."""
    validation_loss: float | None = None
    """Loss on the validation rows, measured like that of the model."""
    gate_passed: bool = True
    """Whether it passed the evaluation gate."""
    lacking: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=16)] | None = None
    """Artifacts that the model has and this checkpoint has not, with their precision: "onnx fp32"."""
    size_bytes: int
    manifest_sha256: Annotated[str, Field(max_length=80)] | None = None
    """sha256 of its MANIFEST.json, which has the sha256 of its other files."""


class LineageStatus(LenientDocument):
    """Where the model comes from."""

    job: Annotated[str, Field(max_length=253)] | None = None
    spec_digest: Annotated[str, Field(max_length=80)] | None = None
    dataset_digest: Annotated[str, Field(max_length=80)] | None = None
    manifest_sha256: Annotated[str, Field(max_length=80)] | None = None


class FineTunedModelStatus(LenientDocument):
    """Observed state of a FineTunedModel, rebuilt from MANIFEST.json by an inspect Job and from the objects that reference the model."""

    observed_generation: int | None = None
    conditions: Conditions = []
    artifacts: Annotated[list[ArtifactStatus], Field(max_length=16)] = []
    """Loadable artifacts, from MANIFEST.json."""
    missing_artifacts: Annotated[list[MissingArtifactStatus], Field(max_length=16)] = []
    """Requested artifacts that could not be created, from MANIFEST.json."""
    step: int | None = None
    """Number of optimizer steps that the model was trained for."""
    checkpoints: Annotated[list[PublishedCheckpointStatus], Field(max_length=32)] = []
    """Other steps of the same training that were published with the model (checkpoints.publish of the job), in ascending order."""
    checkpoints_text: Annotated[str, Field(max_length=256)] | None = None
    """Steps of the checkpoints, as shown in the column."""
    size_bytes: int | None = None
    """Total size of all files."""
    size_text: Annotated[str, Field(max_length=32)] | None = None
    """"543 MiB"."""
    base_text: Annotated[str, Field(max_length=1024)] | None = None
    """The base model, as shown in the column."""
    score_text: Annotated[str, Field(max_length=64)] | None = None
    """Scores such as "loss 2.50 (base 4.03)", followed by "worse than base" if that is the case."""
    used_by: Annotated[list[Annotated[str, Field(max_length=128)]], Field(max_length=64)] = []
    """Objects that use the model, such as "ModelDeployment/support-bot". Informational; the guard does not use it."""
    used_by_text: ShortText | None = None
    """used_by in one line."""
    evaluation: EvaluationStatus | None = None
    gate_passed: bool | None = None
    """Whether the model passed its evaluation gate."""
    gate_text: Annotated[str, Field(max_length=32)] | None = None
    """passed, failed, or none if the job has no gate."""
    lineage: LineageStatus | None = None
    inspect_attempt: int = 0
    """Number of the latest inspect Job, <model>-inspect-<number>."""
    error: ErrorStatus | None = None
