"""Types that several kinds share: names, quantities, pods, volumes, conditions."""

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from finetune_api.document import Document, LenientDocument

NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"

Name = Annotated[str, Field(min_length=1, max_length=40, pattern=NAME_PATTERN)]
"""Name of one of our objects: a DNS label that starts with a letter (Services are named after it), of at most 40 characters
(which leaves room for the names of its pods)."""

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
"""Name of any Kubernetes object."""

Quantity = Annotated[
    str | int,
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$",
            "maxLength": 32,
        }
    ),
]
"""A Kubernetes quantity: "500m", "16Gi", 2."""

Duration = Annotated[str, Field(max_length=16, pattern=r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$", min_length=2)]
"""Hours, minutes and seconds, as in "1h30m" or "90s"."""

LabelValue = Annotated[str, Field(max_length=63)]
ShortText = Annotated[str, Field(max_length=1024)]


def rule(expression: str, message: str, **more: str) -> dict[str, Any]:
    """A CEL validation rule of a CRD schema; `more` may hold reason, fieldPath, messageExpression."""
    return {"rule": expression, "message": message, **more}


def rules(*items: dict[str, Any]) -> dict[str, Any]:
    """CEL rules in the form that pydantic's json_schema_extra takes."""
    return {"x-kubernetes-validations": list(items)}


def seconds(duration: str) -> int:
    """Length of a Duration: seconds("1h30m") == 5400."""
    total, number = 0, ""
    for char in duration:
        if char.isdigit():
            number += char
        else:
            total += int(number) * {"h": 3600, "m": 60, "s": 1}[char]
            number = ""
    return total


class SecretRef(Document):
    """A Secret of the same namespace."""

    name: ObjectName


class Credentials(Document):
    """Where the credentials of a source are.

    For s3:// the Secret's keys are AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, where needed, AWS_SESSION_TOKEN,
    AWS_REGION and AWS_ENDPOINT_URL.
    """

    secret_ref: SecretRef


class Resources(Document):
    """Requests and limits of the stage's container, without GPUs, which have fields of their own."""

    requests: Annotated[dict[str, Quantity], Field(max_length=16)] = {}
    limits: Annotated[dict[str, Quantity], Field(max_length=16)] = {}


class Toleration(Document):
    """As in a pod's spec.tolerations."""

    key: Annotated[str, Field(max_length=317)] | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: LabelValue | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: int | None = None


class EnvVar(Document):
    """An environment variable with a plain value; for secret values use `envFrom`."""

    name: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    value: Annotated[str, Field(max_length=4096)] = ""


class NamedRef(Document):
    """An object of the same namespace."""

    name: ObjectName


class EnvFrom(Document):
    """All keys of a Secret or a ConfigMap as environment variables: exactly one of the two."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule("has(self.secretRef) != has(self.configMapRef)", "exactly one of secretRef and configMapRef must be set")
        )
    }
    secret_ref: NamedRef | None = None
    config_map_ref: NamedRef | None = None
    prefix: Annotated[str, Field(max_length=64)] | None = None


class Pod(Document):
    """What an administrator may set on the pods of a stage or a server."""

    image: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """Instead of the image from the chart's values."""
    service_account_name: ObjectName | None = None
    labels: Annotated[dict[str, LabelValue], Field(max_length=32)] = {}
    annotations: Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=32)] = {}
    node_selector: Annotated[dict[str, LabelValue], Field(max_length=32)] = {}
    tolerations: Annotated[list[Toleration], Field(max_length=32)] = []
    priority_class_name: ObjectName | None = None
    runtime_class_name: ObjectName | None = None
    scheduler_name: ObjectName | None = None
    image_pull_secrets: Annotated[list[NamedRef], Field(max_length=8)] = []
    env: Annotated[list[EnvVar], Field(max_length=64)] = []
    env_from: Annotated[list[EnvFrom], Field(max_length=16)] = []
    fs_group: Annotated[int, Field(ge=1, le=2147483647)] | None = None
    """Group that owns the mounted volumes; 65532 when left out."""


AccessMode = Literal["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"]


class VolumeClaim(Document):
    """A volume that the operator creates."""

    size: Quantity | None = None
    storage_class_name: ObjectName | None = None
    access_mode: AccessMode = "ReadWriteOnce"


class Condition(LenientDocument):
    """As metav1.Condition."""

    type: Annotated[str, Field(max_length=316)]
    status: Literal["True", "False", "Unknown"]
    reason: Annotated[str, Field(max_length=1024)]
    message: Annotated[str, Field(max_length=32768)] = ""
    last_transition_time: Annotated[str, Field(max_length=64)]
    observed_generation: int | None = None


Conditions = Annotated[
    list[Condition],
    Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
]


class ErrorStatus(LenientDocument):
    """Why something failed, in words for the person who can mend it."""

    code: Annotated[str, Field(max_length=128)]
    message: Annotated[str, Field(max_length=8192)]
    param: Annotated[str, Field(max_length=256)] | None = None
    """The spec field to change."""
    object: Annotated[str, Field(max_length=512)] | None = None
    """The Kubernetes object concerned: "Secret s3-credentials"."""
    details: Annotated[list[ShortText], Field(max_length=50)] = []
    last_log_lines: Annotated[list[ShortText], Field(max_length=20)] = []
