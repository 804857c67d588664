"""The servers, each for the whole session, and a place of a test's own in each."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from gcp_storage_emulator.server import create_server
from moto.server import ThreadedMotoServer

from tests.trainer.sources import azurite, hub_server
from tests.trainer.sources.hub_server import HubServer
from tests.trainer.sources.places import AzurePlace, GooglePlace, HubPlace, Place, S3Place

SCHEMES = ("s3", "gs", "abfs", "hf")


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """Address of an S3 server."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def google() -> Iterator[str]:
    """Address of a server that speaks as Google Cloud Storage does."""
    server = create_server("127.0.0.1", 0, in_memory=True)
    server.start()
    yield f"http://127.0.0.1:{server._api._httpd.server_port}"
    server.stop()


@pytest.fixture(scope="session")
def azure() -> Iterator[str]:
    """Connection string of Azurite."""
    with azurite.running() as connection:
        yield connection


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """An empty Hub."""
    with hub_server.serving() as running:
        yield running


@pytest.fixture(params=SCHEMES)
def place(request: pytest.FixtureRequest) -> Place:
    """An empty bucket, container or repository of each server."""
    name = f"rows-{uuid.uuid4().hex[:10]}"
    match request.param:
        case "s3":
            return S3Place(request.getfixturevalue("moto"), name)
        case "gs":
            return GooglePlace(request.getfixturevalue("google"), name)
        case "abfs":
            return AzurePlace(request.getfixturevalue("azure"), name)
        case _:
            return HubPlace(request.getfixturevalue("hub"), f"owner/{name}")


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This machine's own credentials are not the tests'; the Hub's library is offline, as in the stage image."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))


@pytest.fixture(autouse=True)
def _one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waits between attempts."""
    for module in ("s3", "gs", "abfs", "hf"):
        monkeypatch.setattr(f"finetune_trainer.sources.{module}.ATTEMPTS", 1)
        monkeypatch.setattr(f"finetune_trainer.sources.{module}.READ_SECONDS", 0.5)
    monkeypatch.setattr("finetune_trainer.sources.s3.ROUNDS", 1)
