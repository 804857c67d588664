"""Azure Blob Storage and Data Lake Storage through adlfs."""

import os
from typing import Any

from finetune_trainer.failure import StageFailure
from finetune_trainer.sources.guard import check_endpoint
from finetune_trainer.sources.keys import Keys
from finetune_trainer.sources.store import ATTEMPTS, CONNECT_SECONDS, READ_SECONDS, Store
from finetune_trainer.sources.subject import Subject

ACCOUNT, KEY = "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY"
SAS, CONNECTION = "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_CONNECTION_STRING"


class Azure(Store):
    """One container."""

    def __init__(self, uri: str, keys: Keys, subject: Subject) -> None:
        place, _, key = uri.removeprefix("abfs://").partition("/")
        self.root, _, host = place.partition("@")
        self.key = key.strip("/")
        self.root_words = f"the container {self.root}"
        self.subject = subject
        self.has_keys = any(keys.get(name) for name in (KEY, SAS, CONNECTION))
        client = service_client(host, keys, subject)
        self.where = str(client.url).partition("?")[0].rstrip("/")
        check_endpoint(self.where, subject)
        self.fs = connect(client)

    def explain(self, exc: Exception) -> StageFailure:
        """See Store."""
        from azure.core.exceptions import AzureError, ClientAuthenticationError

        code = getattr(exc, "status_code", None) or 0
        name = getattr(exc, "error_code", None)
        answer = f"{self.where} answered {getattr(name, 'value', name) or code or 'with an error'}"
        if isinstance(exc, ClientAuthenticationError) or code in (401, 403):
            return self.subject.denied(f"{answer}: {self.why_denied()}")
        if code in (408, 429) or code >= 500:
            return self.subject.unavailable(answer)
        if isinstance(exc, AzureError) and code < 300:  # no answer, or one that broke off
            return self.unavailable(str(exc).partition("\n")[0])
        return self.subject.unusable(f"{answer}: {str(exc).partition(chr(10))[0]}")

    def why_denied(self) -> str:
        """What to do about a refusal."""
        if not self.has_keys:
            return f"name a Secret with {ACCOUNT} and {KEY} or {SAS}, or with {CONNECTION}, in credentials.secretRef"
        needs = "read and list" if self.subject.access == "read" else "read, add, create, write, delete and list"
        return (
            f"the key or token in the Secret is not the account's, has expired, or may not {self.subject.access} it: check {KEY}, {SAS} or "
            f"{CONNECTION}; a SAS token needs the permissions {needs}"
        )


def service_client(host: str, keys: Keys, subject: Subject) -> Any:
    """The account's client: the address says which account, the Secret does, or both do and must agree."""
    from azure.storage.blob.aio import BlobServiceClient

    bounded: dict[str, Any] = {
        "permit_redirects": False,
        "retry_total": ATTEMPTS - 1,
        "initial_backoff": 1,
        "increment_base": 2,
        "connection_timeout": CONNECT_SECONDS,
        "read_timeout": READ_SECONDS,
    }
    named, connection = keys.get(ACCOUNT), keys.get(CONNECTION)
    account = host.partition(".")[0] or named
    if host and named and account != named:
        raise subject.unusable(f"the address names the account {account}, and {ACCOUNT} in the Secret is {named}")
    try:
        if connection is not None:
            client = BlobServiceClient.from_connection_string(connection, **bounded)
            if host and client.account_name not in (None, account):
                raise subject.unusable(f"the address names the account {account}, and {CONNECTION} is of {client.account_name}")
            return client
        if account is None:
            where = f"write abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH, or put {ACCOUNT} into the Secret"
            raise subject.unusable(f"the account is unknown: {where}")
        service = (host or f"{account}.dfs.core.windows.net").replace(".dfs.", ".blob.")
        return BlobServiceClient(f"https://{service}", credential=credential(keys, account), **bounded)
    except ValueError as exc:
        raise subject.denied(f"{CONNECTION if connection else KEY} in the Secret cannot be used: {exc}") from exc


def credential(keys: Keys, account: str) -> Any:
    """The account's key, a SAS token, the pod's workload identity, or anonymous access (public containers)."""
    if key := keys.get(KEY):
        return {"account_name": account, "account_key": key}
    if sas := keys.get(SAS):
        return sas.removeprefix("?")
    if os.environ.get("AZURE_FEDERATED_TOKEN_FILE"):
        from azure.identity.aio import DefaultAzureCredential

        return DefaultAzureCredential()
    return None


def connect(client: Any) -> Any:
    """An adlfs file system that talks through this client."""
    from adlfs import AzureBlobFileSystem

    class Connected(AzureBlobFileSystem):  # type: ignore[misc]  # adlfs has no types
        def do_connect(self) -> None:
            self.service_client = client

    return Connected(anon=True, use_listings_cache=False, skip_instance_cache=True, max_concurrency=4)
