"""Where the curves of a training are shown besides TensorBoard."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from finetune_api.document import Document
from finetune_api.resources.common import Readable, SecretRef, rule, rules

TRACKER_ENV_PREFIX = {"mlflow": "FINETUNE_MLFLOW_", "wandb": "FINETUNE_WANDB_"}
"""Prefixes of the environment variables with the credentials of each tracker."""

WITHOUT_PASSWORD = rule(
    "!has(self.uri) || !self.uri.matches('^https?://[^/]*@')",
    "the address must not contain a user name or password: put them in a Secret and set credentials.secretRef",
    fieldPath=".uri",
)

ServerAddress = Annotated[
    str, Field(min_length=1, max_length=512, pattern=r"^https?://[^\s?#]+$"), Readable("must be https://HOST[/PATH] or http://HOST")
]


class MlflowCredentials(Document):
    """Credentials for the MLflow server. Keys of the Secret: MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and
    MLFLOW_TRACKING_PASSWORD; instead of the field uri, MLFLOW_TRACKING_URI."""

    secret_ref: SecretRef
    """The Secret."""


class Mlflow(Document):
    """A run on an MLflow server. Resumed attempts continue it."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule("has(self.uri) || has(self.credentials)", "set uri, or credentials with a Secret that has MLFLOW_TRACKING_URI"),
            WITHOUT_PASSWORD,
        )
    }
    uri: ServerAddress | None = None
    """uri is the address of the server. It must be public, unless the administrator allows the host (chart value sources.allowedPrivate);
    MLFLOW_TRACKING_URI in the Secret may be private."""
    experiment: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """experiment that the run belongs to; it is created if it does not exist. Defaults to the namespace of the job."""
    credentials: MlflowCredentials | None = None
    """credentials for the server."""


class WandbCredentials(Document):
    """Credentials for Weights & Biases. Keys of the Secret: WANDB_API_KEY; instead of the field uri, WANDB_BASE_URL."""

    secret_ref: SecretRef
    """The Secret."""


class Wandb(Document):
    """A run on Weights & Biases. Resumed attempts continue it."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule(
                "self.mode == 'offline' || has(self.credentials)",
                "set credentials with a Secret that has WANDB_API_KEY, or mode: offline",
            ),
            WITHOUT_PASSWORD,
        )
    }
    project: (
        Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^/\\#?%:]+$"), Readable("must not contain / \\ # ? % :")] | None
    ) = None
    """project that the run belongs to; it is created if it does not exist. Defaults to the namespace of the job."""
    entity: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._-]+$"), Readable("must be a user or team")] | None = (
        None
    )
    """entity is the user or team that the project belongs to. Defaults to the default entity of the API key."""
    mode: Literal["online", "offline"] = "online"
    """mode: online sends the figures to the server; offline writes them to the folder wandb/ in the workspace, for `wandb sync`."""
    uri: ServerAddress | None = None
    """uri is the address of a self-managed server. It must be public, unless the administrator allows the host (chart value
    sources.allowedPrivate); WANDB_BASE_URL in the Secret may be private. Defaults to https://api.wandb.ai."""
    credentials: WandbCredentials | None = None
    """credentials for the server."""


class Tracking(Document):
    """Trackers of the training, in addition to TensorBoard event files, which are always written. A tracker that is slow or not
    available does not affect the training; condition Trained has its message."""

    mlflow: Mlflow | None = None
    """mlflow logs parameters, metrics and lineage to an MLflow server."""
    wandb: Wandb | None = None
    """wandb logs parameters, metrics and lineage to Weights & Biases."""

    def secrets(self) -> Iterator[tuple[str, str]]:
        """(tracker, name of its Secret) of every tracker that has credentials."""
        for name, settings in (("mlflow", self.mlflow), ("wandb", self.wandb)):
            if settings is not None and settings.credentials is not None:
                yield name, settings.credentials.secret_ref.name
