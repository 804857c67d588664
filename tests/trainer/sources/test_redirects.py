"""A server that a Secret names may not lead a client on to what only the cluster's network reaches."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from finetune_api.exit_codes import ExitCode
from finetune_api.run_config import RunNetwork, RunSource
from finetune_trainer.failure import StageFailure
from finetune_trainer.sources.open import fetch_file
from finetune_trainer.sources.subject import Subject

pytestmark = pytest.mark.trainer
KEY = "eW91IGFyZSBub3QgbWVhbnQgdG8gcmVhZCB0aGlz"


@contextmanager
def server(host: str, location: str = "") -> Iterator[tuple[str, list[str]]]:
    """Answers everything with a redirect, or with a few bytes; yields its address and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            asked.append(self.path)
            self.send_response(302 if location else 200)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD = do_POST = answer

        def log_message(self, *_: Any) -> None:
            pass

    running = ThreadingHTTPServer((host, 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    try:
        yield f"http://{host}:{running.server_port}", asked
    finally:
        running.shutdown()
        running.server_close()


def secret(scheme: str, endpoint: str) -> dict[str, str]:
    """Keys of a Secret that names a server."""
    azure = f"DefaultEndpointsProtocol=http;AccountName=acct;AccountKey={KEY};BlobEndpoint={endpoint}/acct"
    return {
        "s3": {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"},
        "gs": {"STORAGE_ENDPOINT_URL": endpoint},
        "abfs": {"AZURE_STORAGE_CONNECTION_STRING": azure},
        "hf": {"HF_ENDPOINT": endpoint},
    }[scheme]


def fetch(scheme: str, folder: Path, allowed: list[str]) -> None:
    """Fetches a file of the server that the Secret names."""
    uri = "hf://datasets/owner/rows/train.jsonl" if scheme == "hf" else f"{scheme}://rows/train.jsonl"
    subject = Subject(uri, "dataset.train.source", "DataNotFound")
    network = RunNetwork(allowed_private=allowed)
    fetch_file(RunSource(uri=uri, env_prefix="DATA_"), subject, folder / "train", lambda _: None, lambda _: None, network)


@pytest.mark.parametrize("scheme", ["s3", "gs", "abfs", "hf"])
def test_a_redirect_into_the_cluster_is_not_followed(scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other server is never asked, and the message names it where the client would have followed."""
    with server("127.0.0.2") as (inside, asked), server("127.0.0.1", f"{inside}/secret") as (endpoint, _):
        for name, value in secret(scheme, endpoint).items():
            monkeypatch.setenv(f"DATA_{name}", value)
        with pytest.raises(StageFailure) as refused:
            fetch(scheme, tmp_path, [])
    assert asked == []
    assert refused.value.exit_code == ExitCode.INVALID_INPUT
    assert ("127.0.0.2 is a loopback address" in str(refused.value)) == (scheme != "abfs")  # its client does not follow at all


@pytest.mark.parametrize("scheme", ["s3", "gs", "hf"])
def test_a_listed_server_may_be_led_to(scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a web server's redirect may lead to it."""
    with server("127.0.0.2") as (inside, asked), server("127.0.0.1", f"{inside}/elsewhere") as (endpoint, _):
        for name, value in secret(scheme, endpoint).items():
            monkeypatch.setenv(f"DATA_{name}", value)
        with suppress(StageFailure):  # there is no such file, or an empty one
            fetch(scheme, tmp_path, ["127.0.0.2"])
    assert asked
