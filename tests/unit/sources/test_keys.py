"""What a Secret may hold, before any server is asked."""

import json

import pytest

from finetune_api.run_config import RunSource
from finetune_trainer.failure import StageFailure
from finetune_trainer.sources.abfs import service_client
from finetune_trainer.sources.gs import token
from finetune_trainer.sources.keys import Keys
from finetune_trainer.sources.open import fetch_file, open_folder
from finetune_trainer.sources.subject import Subject

SUBJECT = Subject("abfs://rows/train.jsonl", "dataset.train.source", "DataNotFound")
KEY = "a2V5"
ACCOUNT_HOST = "account1.dfs.core.windows.net"
CONNECTION = f"DefaultEndpointsProtocol=https;AccountName=account1;AccountKey={KEY};EndpointSuffix=core.windows.net"


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Keys:
    """The Secret of the test's own table, which the pod has with a prefix."""
    for name, value in request.param.items():
        monkeypatch.setenv(f"DATA_{name}", value)
    return Keys("DATA_")


@pytest.mark.parametrize(
    ("host", "keys", "url"),
    [
        (ACCOUNT_HOST, {}, "https://account1.blob.core.windows.net/"),
        (ACCOUNT_HOST, {"AZURE_STORAGE_ACCOUNT_KEY": f"{KEY}\n"}, "https://account1.blob.core.windows.net/"),
        (ACCOUNT_HOST, {"AZURE_STORAGE_SAS_TOKEN": "?sv=1&sig=x"}, "https://account1.blob.core.windows.net/?sv=1&sig=x"),
        ("account1.blob.core.windows.net", {}, "https://account1.blob.core.windows.net/"),
        ("account1.dfs.core.usgovcloudapi.net", {}, "https://account1.blob.core.usgovcloudapi.net/"),
        ("", {"AZURE_STORAGE_ACCOUNT_NAME": "account2"}, "https://account2.blob.core.windows.net/"),
        (ACCOUNT_HOST, {"AZURE_STORAGE_ACCOUNT_NAME": "account1"}, "https://account1.blob.core.windows.net/"),
        ("", {"AZURE_STORAGE_CONNECTION_STRING": CONNECTION}, "https://account1.blob.core.windows.net/"),
        (ACCOUNT_HOST, {"AZURE_STORAGE_CONNECTION_STRING": CONNECTION}, "https://account1.blob.core.windows.net/"),
    ],
    indirect=["keys"],
)
def test_which_account_of_azure(host: str, keys: Keys, url: str) -> None:
    """The address says it, or the Secret does."""
    assert service_client(host, keys, SUBJECT).url == url


@pytest.mark.parametrize(
    ("host", "keys", "code", "words"),
    [
        ("", {}, "InvalidSource", "the account is unknown: write abfs://CONTAINER@ACCOUNT"),
        (
            ACCOUNT_HOST,
            {"AZURE_STORAGE_ACCOUNT_NAME": "other"},
            "InvalidSource",
            "account1, and AZURE_STORAGE_ACCOUNT_NAME",
        ),
        ("other.dfs.core.windows.net", {"AZURE_STORAGE_CONNECTION_STRING": CONNECTION}, "InvalidSource", "names the account other, and"),
        (
            "",
            {"AZURE_STORAGE_CONNECTION_STRING": "nonsense"},
            "AccessDenied",
            "CONNECTION_STRING in the Secret cannot be used",
        ),
    ],
    indirect=["keys"],
)
def test_no_account_of_azure(host: str, keys: Keys, code: str, words: str) -> None:
    """The words say what contradicts what, and never a key."""
    with pytest.raises(StageFailure, match=words) as caught:
        service_client(host, keys, SUBJECT)
    assert caught.value.error.code == code
    assert KEY not in caught.value.error.message


KEY_FILE = {"type": "service_account", "client_email": "bot@example.com", "private_key": "-----BEGIN"}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            {"GOOGLE_APPLICATION_CREDENTIALS_JSON": "/path/to/key.json"},
            "is not JSON: it must be the content of a",
        ),
        ({"GOOGLE_APPLICATION_CREDENTIALS_JSON": '{"type": "service_account"}'}, "has no private_key and client_email"),
        ({"GOOGLE_APPLICATION_CREDENTIALS_JSON": "[]"}, "has no private_key and client_email"),
    ],
    indirect=["keys"],
)
def test_no_key_file_of_google(keys: Keys, words: str) -> None:
    """The path of the file is put there by mistake, and half of it."""
    with pytest.raises(StageFailure, match=words):
        token(keys, SUBJECT)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"GOOGLE_APPLICATION_CREDENTIALS_JSON": json.dumps(KEY_FILE)}, KEY_FILE),
        ({"STORAGE_ENDPOINT_URL": "http://127.0.0.1:1"}, "anon"),
    ],
    indirect=["keys"],
)
def test_a_key_file_of_google(keys: Keys, expected: object) -> None:
    """Its content is used as it is; an emulator is asked without one."""
    assert token(keys, SUBJECT) == expected


@pytest.mark.parametrize("uri", ["ftp://host/x", "pvc://claim/x", "S3://bucket/x"])
def test_a_scheme_that_nobody_knows(uri: str, tmp_path: object) -> None:
    """The known ones are listed."""
    subject = Subject(uri, "dataset.train.source", "DataNotFound")
    with pytest.raises(StageFailure, match="is not one of file://, s3://, gs://, abfs://, hf://, http://, https://"):
        fetch_file(RunSource(uri=uri), subject, None, print, print)  # type: ignore[arg-type]


def test_a_web_server_has_no_folders() -> None:
    """A model comes from a claim, a store or the Hub."""
    with pytest.raises(StageFailure, match="a model is a folder, which a web server cannot list"):
        open_folder(RunSource(uri="https://example.com/model"), Subject("https://example.com/model", "base.source", "BaseModelNotFound"))
