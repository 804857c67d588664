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
    "One training, from a data set to a registered, evaluated model.",
    FineTuneJobSpec,
    FineTuneJobStatus,
    (
        Column("Phase", ".status.phase", "Where the job stands."),
        Column("Progress", ".status.progressText", "Steps done of the running stage; why the job waits or has failed."),
        Column("ETA", ".status.eta", "Time that the running stage still needs."),
        Column("Loss", ".status.lossText", "Newest training loss; when the job is finished the model's loss on the held-out rows."),
        Column("Gate", ".status.gateText", "passed, failed, or none where evaluation.gate asks for nothing."),
        Column("Model", ".status.model", "The FineTunedModel that the job makes."),
        _AGE,
        Column("Base", ".status.base", "The model that it starts from.", wide=True),
        Column("Method", ".spec.method.type", "lora or full.", wide=True),
        Column("Attempt", ".status.attemptText", "Stage and number of the newest attempt.", wide=True),
        Column("Reason", ".status.reason", "Why the job is in this phase.", wide=True),
    ),
)

FINETUNED_MODEL = Kind(
    "FineTunedModel",
    "finetunedmodels",
    "ftm",
    "A finished model on a volume. It cannot be deleted while something uses it.",
    FineTunedModelSpec,
    FineTunedModelStatus,
    (
        Column("Base", ".status.baseText", "The model that it was tuned from."),
        Column("Type", ".spec.type", "adapter or full."),
        Column("Score", ".status.scoreText", "Measured on held-out rows, against its base."),
        Column("Gate", ".status.gateText", "passed, failed, or none where evaluation.gate asked for nothing."),
        Column("Used by", ".status.usedByText", "What stands in the way of deleting it."),
        Column("Size", ".status.sizeText", "Bytes on its volume."),
        Column("Ready", '.status.conditions[?(@.type=="Ready")].status', "Whether its files are there and whole."),
        _AGE,
    ),
)

MODEL_DEPLOYMENT = Kind(
    "ModelDeployment",
    "modeldeployments",
    "mdep",
    "A FineTunedModel behind an OpenAI-compatible API.",
    ModelDeploymentSpec,
    ModelDeploymentStatus,
    (
        Column("Model", ".spec.model.name", "The FineTunedModel to serve."),
        Column("Serving", ".status.servingText", "The models that answer requests now."),
        Column("Ready", ".status.readyText", "Ready replicas of wanted ones."),
        Column("Status", '.status.conditions[?(@.type=="Ready")].reason', "How the rollout stands: Serving, RollingOut, or what is wrong."),
        Column("Engine", ".spec.engine", "What runs the model."),
        Column("URL", ".status.url", "Address within the cluster; the OpenAI base URL is <url>/v1."),
        _AGE,
    ),
    scalable=True,
)

KINDS = (FINETUNE_JOB, FINETUNED_MODEL, MODEL_DEPLOYMENT)
