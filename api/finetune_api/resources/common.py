"""Types that several kinds share: names, quantities, pods, volumes, conditions."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from finetune_api.document import Document, LenientDocument

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
"""Name of any Kubernetes object."""

LabelValue = Annotated[str, Field(max_length=63)]
ShortText = Annotated[str, Field(max_length=1024)]


AT_CREATION = "oldSelf.hasValue() || "
"""Before a rule that is checked only when an object is created."""


def rule(expression: str, message: str, **more: str) -> dict[str, Any]:
    """A CEL validation rule of a CRD schema; `more` may hold reason, fieldPath, messageExpression."""
    return {"rule": expression, "message": message, **more}


def by(key: str) -> dict[str, Any]:
    """A list whose items are told apart by one of their fields: appliers of different items do not overwrite each other."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


def immutable_rules(*items: dict[str, Any]) -> dict[str, Any]:
    """The rules of a type whose fields cannot change, apart from rules about a change. They are checked when an object is created, so that
    one which an earlier version accepted can still be paused and cancelled."""
    return rules(
        *(
            item if "oldSelf" in item["rule"] else item | {"rule": f"{AT_CREATION}({item['rule']})", "optionalOldSelf": True}
            for item in items
        )
    )


def rules(*items: dict[str, Any]) -> dict[str, Any]:
    """CEL rules in the form that pydantic's json_schema_extra takes."""
    return {"x-kubernetes-validations": list(items)}


def _quantity(condition: str, number: str, words: str) -> WithJsonSchema:
    """The schema of a quantity that meets a CEL condition; `number` is the same condition for a plain integer."""
    expression = f"type(self) == int ? {number} : isQuantity(self) && {condition}"
    return WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "maxLength": 32,
            **rules(rule(expression, f"must be a quantity {words}, such as 500m, 2 or 16Gi")),
        }
    )


Quantity = Annotated[str | int, _quantity("quantity(self).compareTo(quantity('0')) >= 0", "self >= 0", "of zero or more")]
"""A Kubernetes quantity: "500m", "16Gi", 2."""

Size = Annotated[str | int, _quantity("quantity(self).compareTo(quantity('0')) > 0", "self > 0", "of more than zero bytes")]
"""Bytes as a Kubernetes quantity."""


@dataclass(frozen=True)
class Readable:
    """In a CRD a pattern becomes a CEL rule, whose message is a sentence instead of a regular expression."""

    message: str
    also: str = ""
    """More CEL that must hold for a value which matches."""

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core_schema)
        expression = f"self.matches(r'{schema.pop('pattern')}')"
        return schema | rules(rule(f"{expression} && {self.also}" if self.also else expression, self.message))


def _label_keys(labels: dict[str, str]) -> dict[str, str]:
    """Refuses what the API server would refuse on an object, and our own labels."""
    for key in labels:
        prefix, _, name = key.rpartition("/")
        if not re.fullmatch(r"([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]", name) or not _is_prefix(prefix, "/" in key):
            raise ValueError(f"{key!r} is not a label key: an optional DNS name and '/', then at most 63 letters, digits, '-', '_' and '.'")
        if prefix == "finetune.dev":
            raise ValueError(f"{key!r} is reserved for the operator: use another prefix")
    return labels


def _is_prefix(prefix: str, wanted: bool) -> bool:
    return bool(re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", prefix)) if wanted else True


Labels = Annotated[
    dict[
        str,
        Annotated[
            str,
            Field(max_length=63, pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"),
            Readable("must be a label value: letters, digits, '-', '_' and '.', with a letter or digit at both ends"),
        ],
    ],
    Field(max_length=32),
    AfterValidator(_label_keys),
]
"""Labels for an object that the operator makes."""

NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"

Name = Annotated[
    str,
    Field(min_length=1, max_length=40, pattern=NAME_PATTERN),
    Readable("must consist of a-z, 0-9 and '-', start with a letter and end with a letter or digit"),
]
"""Name of one of our objects: a DNS label that starts with a letter (Services are named after it), of at most 40 characters
(which leaves room for the names of its pods)."""

_DURATION = Field(min_length=2, max_length=16, pattern=r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$")

Duration = Annotated[
    str,
    _DURATION,
    Readable("must be hours, minutes and seconds as in 1h30m or 90s, and more than 0s", also="duration(self) > duration('0s')"),
]
"""Hours, minutes and seconds, as in "1h30m" or "90s"."""

LongDuration = Annotated[
    str,
    _DURATION,
    Readable("must be hours, minutes and seconds as in 1h30m or 90s, and at least 10s", also="duration(self) >= duration('10s')"),
]
"""A Duration of ten seconds or more."""


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
    """A Secret in the same namespace."""

    name: ObjectName
    """Name of the Secret."""


class Credentials(Document):
    """Credentials for a source. The keys of the Secret depend on the scheme:

    s3:// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if required, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL;
    gs:// GOOGLE_APPLICATION_CREDENTIALS_JSON (the content of a key file) and, for a server other than Google's, STORAGE_ENDPOINT_URL;
    abfs:// AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, or AZURE_STORAGE_CONNECTION_STRING;
    hf:// HF_TOKEN and, for a mirror, HF_ENDPOINT;
    https:// HTTP_BEARER_TOKEN, or HTTP_USERNAME and HTTP_PASSWORD.
    """

    secret_ref: SecretRef
    """The Secret."""


class Resources(Document):
    """Requests and limits of the container. GPUs are set in separate fields."""

    requests: Annotated[dict[str, Quantity], Field(max_length=16)] = {}
    """requests are the minimum resources required: cpu, memory, ephemeral-storage, ..."""
    limits: Annotated[dict[str, Quantity], Field(max_length=16)] = {}
    """limits are the maximum resources allowed."""


class Toleration(Document):
    """As in a pod's spec.tolerations."""

    key: Annotated[str, Field(max_length=317)] | None = None
    """Taint key. If empty with operator Exists, all taints match."""
    operator: Literal["Exists", "Equal"] | None = None
    """Defaults to Equal."""
    value: LabelValue | None = None
    """Taint value, for operator Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Taint effect to match. If empty, all effects match."""
    toleration_seconds: int | None = None
    """How long a NoExecute taint is tolerated. If not set, it is tolerated forever."""


class EnvVar(Document):
    """An environment variable with a plain value; for secret values use `envFrom`."""

    name: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    """The variable's name."""
    value: Annotated[str, Field(max_length=4096)] = ""
    """Value of the variable. Put longer values into a ConfigMap (`envFrom`)."""


class NamedRef(Document):
    """An object in the same namespace."""

    name: ObjectName
    """Name of the object."""


class EnvFrom(Document):
    """Sets all keys of a Secret or a ConfigMap as environment variables. Exactly one of secretRef and configMapRef must be set."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule("has(self.secretRef) != has(self.configMapRef)", "exactly one of secretRef and configMapRef must be set")
        )
    }
    secret_ref: NamedRef | None = None
    """A Secret."""
    config_map_ref: NamedRef | None = None
    """A ConfigMap."""
    prefix: Annotated[str, Field(max_length=64)] | None = None
    """Prefix to prepend to each key."""


class PodSettings(Document):
    """Settings of the pods of a stage or a server."""

    image: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """image to use instead of the image from the chart's values."""
    service_account_name: ObjectName | None = None
    """ServiceAccount of the pod; its token is not mounted."""
    labels: Annotated[dict[str, LabelValue], Field(max_length=32)] = {}
    """labels to add to those of the operator."""
    annotations: Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=32)] = {}
    """annotations to add to those of the operator."""
    node_selector: Annotated[dict[str, LabelValue], Field(max_length=32)] = {}
    """Labels that a node must have for the pod to be scheduled on it."""
    tolerations: Annotated[list[Toleration], Field(max_length=32)] = []
    """Taints that the pod tolerates."""
    priority_class_name: ObjectName | None = None
    """Name of the PriorityClass."""
    runtime_class_name: ObjectName | None = None
    """Name of the RuntimeClass."""
    scheduler_name: ObjectName | None = None
    """Name of the scheduler. Defaults to the default scheduler."""
    image_pull_secrets: Annotated[list[NamedRef], Field(max_length=8, json_schema_extra=by("name"))] = []
    """Secrets for pulling the image."""
    env: Annotated[list[EnvVar], Field(max_length=64, json_schema_extra=by("name"))] = []
    """Variables with plain values."""
    env_from: Annotated[list[EnvFrom], Field(max_length=16)] = []
    """Variables from Secrets and ConfigMaps."""
    fs_group: Annotated[int, Field(ge=1, le=2147483647)] | None = None
    """Group that owns the mounted volumes. Defaults to 65532."""


AccessMode = Literal["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"]


class VolumeClaim(Document):
    """A volume that the operator creates."""

    size: Size | None = None
    """Size of the volume."""
    storage_class_name: ObjectName | None = None
    """Name of the StorageClass. Defaults to the cluster's default class."""
    access_mode: AccessMode = "ReadWriteOnce"
    """Use ReadWriteMany if pods on several nodes mount the volume."""


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
    Field(max_length=16, json_schema_extra=by("type")),
]


class ErrorStatus(LenientDocument):
    """Why something failed, and how to fix it."""

    code: Annotated[str, Field(max_length=128)]
    """Stable machine-readable code in CamelCase: InvalidDataset, StorageFull, ..."""
    message: Annotated[str, Field(max_length=8192)]
    """What is wrong, and what to do next."""
    param: Annotated[str, Field(max_length=256)] | None = None
    """The spec field to change."""
    object: Annotated[str, Field(max_length=512)] | None = None
    """The Kubernetes object concerned: "Secret s3-credentials"."""
    details: Annotated[list[ShortText], Field(max_length=50)] = []
    """The first findings, one per line."""
    last_log_lines: Annotated[list[ShortText], Field(max_length=20)] = []
    """The last lines of the failed pod's log."""
    log_file: Annotated[str, Field(max_length=512)] | None = None
    """Location of the complete log, which outlives the pod: "logs/train-1*.log on PersistentVolumeClaim tune-workspace"."""
