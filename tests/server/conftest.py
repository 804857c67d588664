"""Small real models as ONNX model directories, and one server process of each for all tests that do not change it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from tests.server.assets.classifier_model import MULTI_LABEL, cached_classifiers
from tests.server.assets.onnx_model import cached_model_directory, cached_tool_model
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


@pytest.fixture(scope="session")
def tool_hf_model(assets: Path) -> Path:
    """A model that repeats the calls of tools it has read (tests/server/assets/export_tool_model.py), as a Hugging Face folder."""
    return cached_tool_model(assets / "smollm2-135m-instruct", assets.parent / "test-models")


@pytest.fixture(scope="session")
def tool_model(assets: Path, tool_hf_model: Path) -> Path:
    """Its model directory."""
    return cached_model_directory(tool_hf_model, assets.parent / "test-models")


@pytest.fixture(scope="session")
def tool_server(tool_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of it."""
    with RunningServer.start(tool_model, tmp_path_factory.mktemp("server") / "log", "--max-context", "1024") as running:
        yield running


@pytest.fixture(scope="session")
def classifiers(assets: Path) -> Path:
    """Folder of the classifiers' model directories: sequence-classification, token-classification and multi-label."""
    return cached_classifiers(assets / "all-minilm-l6-v2", assets.parent / "test-models")


def classifier_server(classifiers: Path, kind: str, tmp_path_factory: pytest.TempPathFactory) -> RunningServer:
    """A server that computes 8 requests together and lets 4 wait."""
    limits = ("--max-concurrency", str(CONCURRENCY), "--max-queue", str(QUEUE))
    return RunningServer.start(classifiers / kind, tmp_path_factory.mktemp("server") / "log", *limits)


@pytest.fixture(scope="session")
def sequence_server(classifiers: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of a classifier of whole inputs."""
    with classifier_server(classifiers, "sequence-classification", tmp_path_factory) as running:
        yield running


@pytest.fixture(scope="session")
def multi_label_server(classifiers: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of a classifier whose labels hold each by itself."""
    with classifier_server(classifiers, MULTI_LABEL, tmp_path_factory) as running:
        yield running


@pytest.fixture(scope="session")
def token_server(classifiers: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of a classifier of tokens."""
    with classifier_server(classifiers, "token-classification", tmp_path_factory) as running:
        yield running


@pytest.fixture(scope="session")
def embedding_server(classifiers: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of an embedding model."""
    with classifier_server(classifiers, "text-embedding", tmp_path_factory) as running:
        yield running
