"""ModelDeployment: a FineTunedModel behind an OpenAI-compatible API."""

from typing import Annotated, Literal

from pydantic import Field

from finetune_api.document import Document, LenientDocument
from finetune_api.engines import EngineName
from finetune_api.resources.common import Conditions, Duration, ErrorStatus, LongDuration, PodSettings, Resources, SecretRef, ShortText
from finetune_api.resources.finetune_job import ModelRef


class Auth(Document):
    """Requests must send `Authorization: Bearer <key>`, where <key> is the value of `api-key` in the Secret."""

    secret_ref: SecretRef
    """The Secret."""


class DeployedModel(ModelRef):
    """A FineTunedModel in the same namespace, or a checkpoint of its training."""

    checkpoint: Annotated[int, Field(ge=1, le=10000000)] | None = None
    """checkpoint is the step of a checkpoint that was published with the model, one of its status.checkpoints. If not set, the model itself
    is served."""


class ModelDeploymentSpec(Document):
    """Desired state of a ModelDeployment. Any change except to replicas, progressDeadline and allowUngated rolls out new server pods;
    an old pod is terminated only after a new one is ready."""

    model: DeployedModel
    """model is the FineTunedModel to serve. It cannot be deleted while it is deployed."""
    engine: EngineName = "onnx"
    """engine is the inference engine. onnx is ONNX Runtime, which requires export.onnx in the job."""
    precision: Literal["fp32"] = "fp32"
    """precision of the exported model to serve."""
    replicas: Annotated[int, Field(ge=0, le=1000)] = 1
    """replicas is the desired number of server pods; also available through the scale subresource."""
    resources: Resources = Resources()
    """resources of each server container."""
    pod: PodSettings = PodSettings()
    """pod has settings of the server pods."""
    auth: Auth | None = None
    """auth requires an API key. If not set, requests need no key."""
    max_concurrency: Annotated[int, Field(ge=1, le=256)] = 8
    """maxConcurrency is the number of requests that decode at the same time; further requests wait in a queue."""
    max_context: Annotated[int, Field(ge=16, le=1048576)] | None = None
    """maxContext is the maximum number of tokens of prompt and response together. Defaults to the model's limit, at most 4096."""
    progress_deadline: LongDuration = "15m"
    """progressDeadline is how long a rollout may make no progress before the condition Stalled becomes True with the reason; the
    previous revision keeps serving. At least 10s."""
    drain_timeout: Duration = "1m"
    """drainTimeout is how long a server that is replaced or scaled down may take to finish responses in progress. An idle server
    terminates within a few seconds."""
    allow_ungated: bool = False
    """allowUngated allows deploying a model that did not pass its evaluation gate."""


class Serving(LenientDocument):
    """A model that existing pods mount. The delete guard reads this list."""

    model: Annotated[str, Field(max_length=40)]
    """Name of the FineTunedModel."""
    uid: Annotated[str, Field(max_length=64)]
    """uid of the FineTunedModel."""


class Revision(LenientDocument):
    """The model and image of the current rollout. They are pinned, so that a chart upgrade does not replace pods."""

    model: Annotated[str, Field(max_length=40)]
    model_uid: Annotated[str, Field(max_length=64)]
    image: Annotated[str, Field(max_length=512)]
    spec_generation: int
    spec_digest: Annotated[str, Field(max_length=80)] = ""
    """sha256 of the spec without replicas, so that scaling does not change the image."""


class ModelDeploymentStatus(LenientDocument):
    """Observed state of a ModelDeployment."""

    observed_generation: int | None = None
    conditions: Conditions = []
    url: Annotated[str, Field(max_length=512)] | None = None
    """Address within the cluster; the OpenAI base URL is <url>/v1."""
    replicas: int = 0
    """Number of existing server pods."""
    ready_text: Annotated[str, Field(max_length=32)] | None = None
    """"1/1"."""
    serving_text: Annotated[str, Field(max_length=256)] | None = None
    """The models that currently answer requests: "bot-v1", or "bot-v1, bot-v2" during a rollout; "bot-v1:step-40" is a checkpoint."""
    selector: Annotated[str, Field(max_length=512)] | None = None
    """Label selector for the scale subresource."""
    serving: Annotated[list[Serving], Field(max_length=16)] = []
    """Models that existing pods mount."""
    revision: Revision | None = None
    """The model and image of the current rollout."""
    error: ErrorStatus | None = None
    message: ShortText | None = None
