"""A real S3 server in this process, and a bucket of it."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


class Bucket:
    """One bucket."""

    def __init__(self, endpoint: str, name: str) -> None:
        self.endpoint = endpoint
        self.name = name
        keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
        self.client: Any = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
        self.client.create_bucket(Bucket=name)

    def put(self, key: str, content: bytes) -> None:
        """Writes an object."""
        self.client.put_object(Bucket=self.name, Key=key, Body=content)

    def put_folder(self, prefix: str, folder: Path) -> None:
        """Writes the files of a flat folder."""
        for path in folder.iterdir():
            self.put(f"{prefix}/{path.name}", path.read_bytes())

    @contextmanager
    def checked_keys(self) -> Iterator[None]:
        """While it lasts, the server knows no key at all."""
        self._authorise_after("0")
        try:
            yield
        finally:
            self._authorise_after("inf")

    def _authorise_after(self, actions: str) -> None:
        url, kind = f"{self.endpoint}/moto-api/reset-auth", {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(url, actions.encode(), kind)).close()
