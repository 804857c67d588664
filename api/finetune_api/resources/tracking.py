"""Where the curves of a training are shown besides TensorBoard."""

from typing import Annotated

from pydantic import Field

from finetune_api.document import Document
from finetune_api.resources.common import Readable, SecretRef, rule, rules

TRACKER_ENV_PREFIX = {"mlflow": "FINETUNE_MLFLOW_"}
"""Prefixes of the environment variables with the credentials of each tracker."""


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
            rule(
                "!has(self.uri) || !self.uri.matches('^https?://[^/]*@')",
                "the address must not contain a user name or password: put them in a Secret and set credentials.secretRef",
                fieldPath=".uri",
            ),
        )
    }
    uri: (
        Annotated[
            str, Field(min_length=1, max_length=512, pattern=r"^https?://[^\s?#]+$"), Readable("must be https://HOST[/PATH] or http://HOST")
        ]
        | None
    ) = None
    """uri is the address of the server. It must be public, unless the administrator allows the host (chart value sources.allowedPrivate);
    MLFLOW_TRACKING_URI in the Secret may be private."""
    experiment: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """experiment that the run belongs to; it is created if it does not exist. Defaults to the namespace of the job."""
    credentials: MlflowCredentials | None = None
    """credentials for the server."""


class Tracking(Document):
    """Trackers of the training, in addition to TensorBoard event files, which are always written. A tracker that is slow or not
    available does not affect the training; condition Trained has its message."""

    mlflow: Mlflow | None = None
    """mlflow logs parameters, metrics and lineage to an MLflow server."""
