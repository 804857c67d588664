"""Addresses of data and models: pvc://, configmap:// and s3://."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from finetune_api.document import Document
from finetune_api.resources.common import Credentials, Readable, rule, rules

DATA_PATTERN = r"^(pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[^\s]+|configmap://[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[-._a-zA-Z0-9]+|s3://[a-z0-9][-.a-z0-9]+/[^\s]+)$"
MODEL_PATTERN = r"^(pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[^\s]*)?|s3://[a-z0-9][-.a-z0-9]+/[^\s]+)$"

DataAddress = Annotated[
    str,
    Field(min_length=1, max_length=1024, pattern=DATA_PATTERN),
    Readable("must be pvc://CLAIM/PATH, configmap://NAME/KEY or s3://BUCKET/KEY"),
]
"""pvc://CLAIM/PATH, configmap://NAME/KEY or s3://BUCKET/KEY."""
ModelAddress = Annotated[
    str,
    Field(min_length=1, max_length=1024, pattern=MODEL_PATTERN),
    Readable("must be pvc://CLAIM/PATH or s3://BUCKET/PREFIX"),
]
"""pvc://CLAIM/PATH or s3://BUCKET/PREFIX of a folder in Hugging Face layout."""

_NO_PARENT = rule("!self.source.split('/').exists(p, p == '..')", "source must not contain '..'", fieldPath=".source")
_CREDENTIALS_FOR_S3 = rule(
    "!has(self.credentials) || self.source.startsWith('s3://')",
    "credentials are used with s3:// only; a claim or a config map needs none",
    fieldPath=".credentials",
)

OPTIONAL_SOURCE_RULES = (
    rule("!has(self.source) || !self.source.split('/').exists(p, p == '..')", "source must not contain '..'", fieldPath=".source"),
    rule(
        "!has(self.credentials) || (has(self.source) && self.source.startsWith('s3://'))",
        "credentials are used with an s3:// source only",
        fieldPath=".credentials",
    ),
)
"""For a type whose source may be left out, because there is another way to say where its bytes come from."""


class DataSource(Document):
    """A file of rows."""

    model_config = Document.model_config | {"json_schema_extra": rules(_NO_PARENT, _CREDENTIALS_FOR_S3)}
    source: DataAddress
    """pvc://CLAIM/PATH, configmap://NAME/KEY or s3://BUCKET/KEY."""
    credentials: Credentials | None = None
    """For s3:// only."""


@dataclass(frozen=True)
class Address:
    """A parsed address: `pvc://data/a/b.jsonl` is ("pvc", "data", "a/b.jsonl")."""

    scheme: Literal["pvc", "configmap", "s3"]
    host: str
    """The claim, the config map or the bucket."""
    path: str
    """Without a leading slash; empty for the root of a claim."""


def parse_address(text: str) -> Address:
    """Splits an address that the CRD's pattern has let through; raises ValueError for any other."""
    scheme, separator, rest = text.partition("://")
    host, _, path = rest.partition("/")
    if not separator or scheme not in ("pvc", "configmap", "s3") or not host:
        raise ValueError(f"{text!r} is not an address: expected pvc://CLAIM/PATH, configmap://NAME/KEY or s3://BUCKET/KEY")
    return Address(scheme, host, path.strip("/"))  # type: ignore[arg-type]
