"""Addresses of data and models: volumes, config maps, object stores, the Hugging Face Hub, web servers."""

from dataclasses import dataclass
from typing import Annotated, Literal, cast, get_args

from pydantic import Field

from finetune_api.document import Document
from finetune_api.resources.common import Credentials, Readable, rule, rules

Scheme = Literal["pvc", "configmap", "s3", "gs", "abfs", "hf", "https", "http"]

_OBJECT = r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?"
_STORES = (
    r"s3://[a-z0-9][-.a-z0-9]+/[^\s]+"
    r"|gs://[a-z0-9][-._a-z0-9]+/[^\s]+"
    r"|abfs://[a-z0-9$][-a-z0-9]+(@[a-z0-9]{3,24}\.(dfs|blob)\.core\.(windows\.net|usgovcloudapi\.net|chinacloudapi\.cn))?/[^\s]+"
)
_REPOSITORY = r"[-._a-zA-Z0-9]+/[-._a-zA-Z0-9]+(@[-._a-zA-Z0-9]+|@refs/[-._a-zA-Z0-9/]+)?"
_WEB = r"https?://([-._a-zA-Z0-9]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?/[^\s]*"

DATA_PATTERN = rf"^(pvc://{_OBJECT}/[^\s]+|configmap://{_OBJECT}/[-._a-zA-Z0-9]+|{_STORES}|hf://datasets/{_REPOSITORY}(/[^\s]*)?|{_WEB})$"
MODEL_PATTERN = rf"^(pvc://{_OBJECT}(/[^\s]*)?|{_STORES}|hf://{_REPOSITORY})$"

STORE_PATTERN = rf"^({_STORES})$"

DATA_ADDRESSES = (
    "pvc://CLAIM/PATH, configmap://NAME/KEY, s3://BUCKET/KEY, gs://BUCKET/KEY, abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH, "
    "hf://datasets/OWNER/NAME/PATH or https://HOST/PATH"
)
MODEL_ADDRESSES = (
    "pvc://CLAIM/PATH, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/PREFIX or hf://OWNER/NAME"
)

DataAddress = Annotated[str, Field(min_length=1, max_length=1024, pattern=DATA_PATTERN), Readable(f"must be {DATA_ADDRESSES}")]
"""A file of rows, wherever it lies."""
ModelAddress = Annotated[str, Field(min_length=1, max_length=1024, pattern=MODEL_PATTERN), Readable(f"must be {MODEL_ADDRESSES}")]
"""A folder in Hugging Face layout, wherever it lies."""

StoreAddress = Annotated[
    str,
    Field(min_length=1, max_length=512, pattern=STORE_PATTERN),
    Readable("must be s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/PREFIX"),
]
"""A prefix of an object store."""

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
    """Texts with the fields of a row in braces, as in Olive's text_template; {{ and }} are literal braces."""

    prompt: Annotated[str, Field(max_length=8192)]
    """prompt is the input of the model: "Translate to French: {english}". If empty (task completion), all tokens are learned."""
    completion: Annotated[str, Field(min_length=1, max_length=8192)]
    """completion is the expected output: "{french}"."""


_TAKES_NONE = "self.source.startsWith('pvc://') || self.source.startsWith('configmap://')"
_NO_CREDENTIALS = "credentials cannot be used with pvc:// and configmap://"
_USER_IN_ADDRESS = "self.source.matches('^https?://[^/]*@')"
_USER_ELSEWHERE = "the address must not contain a user name or password: put them in a Secret and set credentials.secretRef"

_SOURCE_RULES = (
    rule("!self.source.split('/').exists(p, p == '..')", "source must not contain '..'", fieldPath=".source"),
    rule(f"!{_USER_IN_ADDRESS}", _USER_ELSEWHERE, fieldPath=".source"),
    rule(f"!has(self.credentials) || !({_TAKES_NONE})", _NO_CREDENTIALS, fieldPath=".credentials"),
)

OPTIONAL_SOURCE_RULES = (
    rule("!has(self.source) || !self.source.split('/').exists(p, p == '..')", "source must not contain '..'", fieldPath=".source"),
    rule(f"!has(self.source) || !{_USER_IN_ADDRESS}", _USER_ELSEWHERE, fieldPath=".source"),
    rule("!has(self.credentials) || has(self.source)", "credentials require a source", fieldPath=".credentials"),
    rule(f"!has(self.credentials) || !has(self.source) || !({_TAKES_NONE})", _NO_CREDENTIALS, fieldPath=".credentials"),
)
"""For a type whose source may be left out, because there is another way to say where its bytes come from."""


class DataSource(Document):
    """A file with rows, and how to read it."""

    model_config = Document.model_config | {"json_schema_extra": rules(*_SOURCE_RULES)}
    source: DataAddress
    """pvc://CLAIM/PATH, configmap://NAME/KEY, s3://BUCKET/KEY, gs://BUCKET/KEY, abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH
    (or abfs://CONTAINER/PATH with the account from the Secret), hf://datasets/OWNER/NAME[@REVISION]/PATH, https://HOST/PATH."""
    credentials: Credentials | None = None
    """credentials for the object store, the Hub or the web server; not allowed for a claim or a ConfigMap."""
    format: RowFormat | None = None
    """format of the file. Defaults to the format detected from the content; .gz and .zst are always detected."""
    columns: Columns = {}
    """columns maps field names of the task to field names in the file: {prompt: question, completion: answer}."""
    template: RowTemplate | None = None
    """template builds prompt and completion from any fields; for chat, completion and summarization."""
    slice: RowSlice | None = None
    """slice selects a part of the file: "0%:80%" or "100:2000", excluding the end, or "100:" up to the end of the file."""


@dataclass(frozen=True)
class Address:
    """A parsed address: `pvc://data/a/b.jsonl` is ("pvc", "data", "a/b.jsonl")."""

    scheme: Scheme
    host: str
    """The claim, the config map, the bucket, CONTAINER@ACCOUNT..., the web server; "datasets" or the owner on the Hub."""
    path: str
    """Without a leading slash; empty for the root of a claim."""


def parse_address(text: str) -> Address:
    """Splits an address that the CRD's pattern has let through; raises ValueError for any other."""
    scheme, separator, rest = text.partition("://")
    host, _, path = rest.partition("/")
    if not separator or scheme not in get_args(Scheme) or not host:
        raise ValueError(f"{text!r} is not an address: expected {DATA_ADDRESSES}")
    return Address(cast(Scheme, scheme), host, path.strip("/"))


def shown_address(text: str) -> str:
    """The address for messages, statuses and lineage: the query of a web address may be a signature that opens the file."""
    address, separator, _ = text.partition("?")
    return f"{address}?..." if separator and text.startswith(("http://", "https://")) else text
