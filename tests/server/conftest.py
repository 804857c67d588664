"""The small real model as an ONNX model directory, and one server process for all tests that do not change it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from tests.server.onnx_model import cached_model_directory
from tests.server.running_server import RunningServer

CONCURRENCY = 8
QUEUE = 4
CONTEXT = 512


@pytest.fixture(scope="session")
def hf_model(assets: Path) -> Path:
    """Two layers of SmolLM2 with its tokenizer, as a Hugging Face folder."""
    return assets / "smollm2-tiny"


@pytest.fixture(scope="session")
def model(assets: Path, hf_model: Path) -> Path:
    """Its model directory; tests that damage one make a copy."""
    return cached_model_directory(hf_model, assets.parent / "test-models")


@pytest.fixture(scope="session")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with 8 slots, 4 places to wait and a context of 512 tokens."""
    limits = ("--max-concurrency", str(CONCURRENCY), "--max-queue", str(QUEUE), "--max-context", str(CONTEXT))
    with RunningServer.start(model, tmp_path_factory.mktemp("server") / "log", *limits) as running:
        yield running


@pytest.fixture(scope="session")
def client(server: RunningServer) -> Iterator[OpenAI]:
    """OpenAI's client for that server."""
    with server.client() as client:
        yield client
