"""The kinds of the group finetune.dev: their names, models, printer columns and sub-resources."""

from dataclasses import dataclass, field
from typing import Literal

from finetune_api.document import Document
from finetune_api.resources.finetune_job import FineTuneJobSpec
from finetune_api.resources.finetune_job_status import FineTuneJobStatus
from finetune_api.resources.finetuned_model import FineTunedModelSpec, FineTunedModelStatus
from finetune_api.resources.model_deployment import ModelDeploymentSpec, ModelDeploymentStatus


@dataclass(frozen=True)
class Column:
    """A column that `kubectl get` prints; `wide` ones with `-o wide` only."""

    name: str
    path: str
    """JSONPath within the object."""
    description: str
    type: Literal["string", "integer", "date"] = "string"
    wide: bool = False


@dataclass(frozen=True)
class Kind:
    """One custom resource."""

    kind: str
    plural: str
    short_name: str
    description: str
    spec: type[Document]
    status: type[Document]
    columns: tuple[Column, ...] = field(repr=False)
    scalable: bool = False
    """With a scale sub-resource on spec.replicas, status.replicas and status.selector."""

    @property
    def singular(self) -> str:
        """As in `kubectl get finetunejob`."""
        return self.kind.lower()


_AGE = Column("Age", ".metadata.creationTimestamp", "Time since the object was created.", type="date")

FINETUNE_JOB = Kind(
    "FineTuneJob",
    "finetunejobs",
    "ftj",
    "FineTuneJob fine-tunes a model on a dataset, then evaluates and registers the result.",
    FineTuneJobSpec,
    FineTuneJobStatus,
    (
        Column("Phase", ".status.phase", "Where the job is in its lifecycle."),
        Column("Progress", ".status.progressText", "Progress of the running stage, or why the job is waiting or has failed."),
        Column("ETA", ".status.eta", "Estimated time until the running stage finishes."),
        Column("Loss", ".status.lossText", "Latest training loss; for a finished job, the model's loss on the validation rows."),
        Column("Gate", ".status.gateText", "passed, failed, or none without evaluation.gate."),
        Column("Model", ".status.model", "The FineTunedModel that the job creates."),
        _AGE,
        Column("Base", ".status.base", "The base model.", wide=True),
        Column("Validation-Loss", ".status.validationLossText", "Latest validation loss of the training.", wide=True),
        Column("Method", ".spec.method.type", "lora, qlora, ia3 or full.", wide=True),
        Column("Attempt", ".status.attemptText", "Stage and number of the latest attempt.", wide=True),
        Column("Reason", ".status.reason", "Why the job is in this phase.", wide=True),
    ),
)

FINETUNED_MODEL = Kind(
    "FineTunedModel",
    "finetunedmodels",
    "ftm",
    "FineTunedModel is a finished model on a volume. It cannot be deleted while it is in use.",
    FineTunedModelSpec,
    FineTunedModelStatus,
    (
        Column("Base", ".status.baseText", "The model that it was tuned from."),
        Column("Type", ".spec.type", "adapter or full."),
        Column("Score", ".status.scoreText", "Scores on the validation rows, compared with the base model."),
        Column("Gate", ".status.gateText", "passed, failed, or none without evaluation.gate."),
        Column("Used by", ".status.usedByText", "Objects that use the model and prevent its deletion."),
        Column("Size", ".status.sizeText", "Size on the volume."),
        Column("Ready", '.status.conditions[?(@.type=="Ready")].status', "Whether all files are present and intact."),
        _AGE,
        Column("Checkpoints", ".status.checkpointsText", "Steps of the checkpoints that can be deployed.", wide=True),
    ),
)

MODEL_DEPLOYMENT = Kind(
    "ModelDeployment",
    "modeldeployments",
    "mdep",
    "ModelDeployment serves a FineTunedModel behind an OpenAI-compatible API.",
    ModelDeploymentSpec,
    ModelDeploymentStatus,
    (
        Column("Model", ".spec.model.name", "The FineTunedModel to serve."),
        Column("Serving", ".status.servingText", "The models that currently answer requests."),
        Column("Ready", ".status.readyText", "Ready and desired replicas."),
        Column(
            "Status",
            '.status.conditions[?(@.type=="Ready")].reason',
            "State of the rollout: Serving, RollingOut, or the reason why it is not ready.",
        ),
        Column("Engine", ".spec.engine", "The inference engine."),
        Column("URL", ".status.url", "Address within the cluster; the OpenAI base URL is <url>/v1."),
        _AGE,
        Column("Checkpoint", ".spec.model.checkpoint", "Step of the checkpoint to serve.", type="integer", wide=True),
    ),
    scalable=True,
)

KINDS = (FINETUNE_JOB, FINETUNED_MODEL, MODEL_DEPLOYMENT)
