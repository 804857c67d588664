"""An S3 server for the whole session and a bucket for each test."""

import uuid
from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer

from tests.trainer.prepare.s3 import KEYS, Bucket


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Address of a server on a free port of this machine."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket; its keys are in variables that begin with DATA_, as the operator hands them to a pod."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": s3_endpoint}.items():
        monkeypatch.setenv(f"DATA_{name}", value)
    return Bucket(s3_endpoint, f"bucket-{uuid.uuid4().hex[:10]}")
