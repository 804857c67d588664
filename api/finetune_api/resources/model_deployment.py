"""ModelDeployment: a FineTunedModel behind an OpenAI-compatible API."""

from typing import Annotated, Literal

from pydantic import Field

from finetune_api.document import Document, LenientDocument
from finetune_api.resources.common import Conditions, Duration, ErrorStatus, LongDuration, Pod, Resources, SecretRef, ShortText
from finetune_api.resources.finetune_job import ModelRef


class Auth(Document):
    """Requests need `Authorization: Bearer <key>`; the Secret's key `api-key` holds it."""

    secret_ref: SecretRef
    """The Secret."""


class ModelDeploymentSpec(Document):
    """What to serve, and how. Every change but one of replicas, progressDeadline and allowUngated replaces the server pods, each by
    one that answers before the old one goes."""

    model: ModelRef
    """The FineTunedModel to serve; it cannot be deleted meanwhile."""
    engine: Literal["onnx"] = "onnx"
    """onnx: ONNX Runtime, which needs export.onnx of the job."""
    precision: Literal["fp32"] = "fp32"
    """Which exported precision to serve."""
    replicas: Annotated[int, Field(ge=0, le=1000)] = 1
    """Server pods; also set through the scale sub-resource."""
    resources: Resources = Resources()
    """CPU and memory of each server."""
    pod: Pod = Pod()
    """Of the server pods."""
    auth: Auth | None = None
    """Left out: no key is asked for."""
    max_concurrency: Annotated[int, Field(ge=1, le=256)] = 8
    """Requests that decode together; more wait in a queue."""
    max_context: Annotated[int, Field(ge=16, le=1048576)] | None = None
    """Prompt and answer together, in tokens; left out: the model's own limit, at most 4096."""
    progress_deadline: LongDuration = "15m"
    """How long a rollout may go without progress until the conditions say Stalled=True with the reason; the previous revision goes on
    serving. At least 10s."""
    drain_timeout: Duration = "1m"
    """How long a server that is replaced or scaled down may take to finish the answers that it has begun. One without requests ends
    in a few seconds."""
    allow_ungated: bool = False
    """Deploy a model that did not pass its evaluation gate."""


class Serving(LenientDocument):
    """A model that live pods mount; the delete guard reads this list."""

    model: Annotated[str, Field(max_length=40)]
    """Name of the FineTunedModel."""
    uid: Annotated[str, Field(max_length=64)]
    """Its uid."""


class Revision(LenientDocument):
    """What the current rollout is pinned to, so that a chart upgrade replaces no pod."""

    model: Annotated[str, Field(max_length=40)]
    model_uid: Annotated[str, Field(max_length=64)]
    image: Annotated[str, Field(max_length=512)]
    spec_generation: int
    spec_digest: Annotated[str, Field(max_length=80)] = ""
    """sha256 of the spec without replicas: scaling does not take up a new image."""


class ModelDeploymentStatus(LenientDocument):
    """Written by the operator."""

    observed_generation: int | None = None
    conditions: Conditions = []
    url: Annotated[str, Field(max_length=512)] | None = None
    """Inside the cluster; the OpenAI base URL is <url>/v1."""
    replicas: int = 0
    """Server pods that exist."""
    ready_text: Annotated[str, Field(max_length=32)] | None = None
    """"1/1"."""
    serving_text: Annotated[str, Field(max_length=256)] | None = None
    """The models that answer requests now: "bot-v1", and "bot-v1, bot-v2" in the middle of a rollout."""
    selector: Annotated[str, Field(max_length=512)] | None = None
    """For the scale sub-resource."""
    serving: Annotated[list[Serving], Field(max_length=16)] = []
    """Models that live pods mount."""
    revision: Revision | None = None
    """What the current rollout is pinned to."""
    error: ErrorStatus | None = None
    message: ShortText | None = None
