"""The object stores that the tests know, behind one face: where to put an object, and how a run config names it."""

import json
import urllib.request
from dataclasses import dataclass
from typing import Any, Protocol

import boto3
from azure.storage.blob import BlobServiceClient

from tests.trainer.sources.azurite import KEY
from tests.trainer.sources.hub_server import HubServer


class Place(Protocol):
    """One bucket, container or repository of a real server."""

    scheme: str
    root: str
    """What an address says before the object's key."""
    root_words: str
    """What messages call the root when it is missing, with the name in braces."""
    holder: str
    """What messages call the root as the holder of names."""
    where: str
    """The server's address as messages show it."""

    def put(self, key: str, content: bytes) -> None:
        """Writes an object."""
        ...

    def keys(self) -> dict[str, str]:
        """The Secret."""
        ...

    def wrong_keys(self) -> dict[str, str]:
        """A Secret with a key that the server does not know."""
        ...

    def keys_of(self, port: int) -> dict[str, str]:
        """The Secret, for a server on another port of this machine."""
        ...


class S3Place:
    """A bucket of moto."""

    scheme, root_words, holder = "s3", "there is no bucket {}", "the bucket"

    def __init__(self, endpoint: str, name: str) -> None:
        self.where, self.root = endpoint, name
        self.client: Any = boto3.client(
            "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret"
        )
        self.client.create_bucket(Bucket=name)

    def put(self, key: str, content: bytes) -> None:
        """See Place."""
        self.client.put_object(Bucket=self.root, Key=key, Body=content)

    def keys(self) -> dict[str, str]:
        """See Place."""
        return {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL": self.where}

    def wrong_keys(self) -> dict[str, str]:
        """See Place: moto knows any key until checking is turned on."""
        self.check_keys(True)
        return self.keys()

    def check_keys(self, check: bool) -> None:
        """From now on the server knows no key at all, or any."""
        url, kind = f"{self.where}/moto-api/reset-auth", {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(url, b"0" if check else b"inf", kind)).close()

    def keys_of(self, port: int) -> dict[str, str]:
        """See Place."""
        return {**self.keys(), "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}


class GooglePlace:
    """A bucket of the emulator of Google Cloud Storage, which knows no keys."""

    scheme, root_words, holder = "gs", "there is no bucket {}", "the bucket"

    def __init__(self, endpoint: str, name: str) -> None:
        self.where, self.root = endpoint, name
        self.post("/storage/v1/b", json.dumps({"name": name}).encode(), "application/json")

    def put(self, key: str, content: bytes) -> None:
        """See Place."""
        about = json.dumps({"name": key}).encode()
        head = b"--part\r\nContent-Type: application/json\r\n\r\n" + about + b"\r\n--part\r\nContent-Type: text/plain\r\n\r\n"
        path = f"/upload/storage/v1/b/{self.root}/o?uploadType=multipart"
        self.post(path, head + content + b"\r\n--part--", "multipart/related; boundary=part")

    def post(self, path: str, content: bytes, kind: str) -> None:
        """Sends something to the server."""
        urllib.request.urlopen(urllib.request.Request(self.where + path, content, {"Content-Type": kind})).close()

    def keys(self) -> dict[str, str]:
        """See Place."""
        return {"STORAGE_ENDPOINT_URL": self.where}

    def wrong_keys(self) -> dict[str, str]:
        """See Place: what the owner of the Secret may have put there instead of a key file."""
        return {**self.keys(), "GOOGLE_APPLICATION_CREDENTIALS_JSON": "/path/to/key.json"}

    def keys_of(self, port: int) -> dict[str, str]:
        """See Place."""
        return {"STORAGE_ENDPOINT_URL": f"http://127.0.0.1:{port}"}


class AzurePlace:
    """A container of Azurite."""

    scheme, root_words, holder = "abfs", "there is no container {}", "the container"

    def __init__(self, connection: str, name: str) -> None:
        self.connection, self.root = connection, name
        self.where = connection.partition("BlobEndpoint=")[2].rstrip(";")
        with BlobServiceClient.from_connection_string(connection) as client:
            client.create_container(name)

    def put(self, key: str, content: bytes) -> None:
        """See Place."""
        with BlobServiceClient.from_connection_string(self.connection) as client:
            client.get_blob_client(self.root, key).upload_blob(content, overwrite=True)

    def keys(self) -> dict[str, str]:
        """See Place."""
        return {"AZURE_STORAGE_CONNECTION_STRING": self.connection}

    def wrong_keys(self) -> dict[str, str]:
        """See Place."""
        return {"AZURE_STORAGE_CONNECTION_STRING": self.connection.replace(KEY, KEY[::-1].strip("=") + "==")}

    def keys_of(self, port: int) -> dict[str, str]:
        """See Place."""
        return {"AZURE_STORAGE_CONNECTION_STRING": self.connection.replace(self.where, f"http://127.0.0.1:{port}/devstoreaccount1")}


@dataclass
class HubPlace:
    """A dataset repository of a small Hub."""

    hub: HubServer
    name: str
    scheme, root_words, holder = "hf", "there is no dataset repository {}", "the folder"

    def __post_init__(self) -> None:
        self.root = f"datasets/{self.name}"
        self.where = self.hub.endpoint

    def put(self, key: str, content: bytes) -> None:
        """See Place."""
        self.hub.repository(self.root).commit({key: content})

    def keys(self) -> dict[str, str]:
        """See Place."""
        return {"HF_ENDPOINT": self.where}

    def wrong_keys(self) -> dict[str, str]:
        """See Place."""
        return {**self.keys(), "HF_TOKEN": "wrong"}

    def keys_of(self, port: int) -> dict[str, str]:
        """See Place."""
        return {"HF_ENDPOINT": f"http://127.0.0.1:{port}"}
