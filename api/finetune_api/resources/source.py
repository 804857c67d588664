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

RowFormat = Literal["jsonl", "json", "csv", "parquet", "arrow"]

_FieldName = Annotated[str, Field(min_length=1, max_length=128)]
Columns = Annotated[dict[str, _FieldName], Field(max_length=16)]
"""The task's name of a field -> its name in the file."""

RowSlice = Annotated[
    str,
    Field(min_length=1, max_length=32, pattern=r"^([0-9]+%?)?:([0-9]+%?)?$"),
    Readable('must be two row numbers or percentages as in "100:2000", "0%:80%" or "100:"'),
]
"""Rows from the first (from 0) up to the second, which is excluded."""


class RowTemplate(Document):
    """Texts with the fields of a row in braces, as in Olive's text_template; {{ and }} are braces themselves."""

    prompt: Annotated[str, Field(min_length=1, max_length=8192)]
    """What the model is given: "Translate to French: {english}"."""
    completion: Annotated[str, Field(min_length=1, max_length=8192)]
    """What it shall say: "{french}"."""


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
    """A file of rows, and how to read it."""

    model_config = Document.model_config | {"json_schema_extra": rules(_NO_PARENT, _CREDENTIALS_FOR_S3)}
    source: DataAddress
    """pvc://CLAIM/PATH, configmap://NAME/KEY or s3://BUCKET/KEY."""
    credentials: Credentials | None = None
    """For s3:// only."""
    format: RowFormat | None = None
    """Left out: judged by the file's content. A .gz or .zst around it is recognised in any case."""
    columns: Columns = {}
    """What a row calls its fields, where it is not what the task calls them: {prompt: question, completion: answer}."""
    template: RowTemplate | None = None
    """Builds prompt and completion of any fields; for chat, completion and summarization."""
    slice: RowSlice | None = None
    """A part of the file: "0%:80%" or "100:2000", the end excluded; an open end as in "100:"."""


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
