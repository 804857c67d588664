"""An engine that another package adds answers over HTTP like the project's own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from tests.outside_package import documented_example, install
from tests.server.assets.onnx_model import artifact_of, write_manifest
from tests.server.running_server import NAME, RunningServer

PROMPT = [1000, 1001, 1002]
ANSWER = list(range(1003, 1015))


@pytest.fixture(scope="module")
def model_directory(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With an artifact of weights alone for the new engine: the tokenizer is in the folder of the ONNX artifact."""
    directory = tmp_path_factory.mktemp("outside") / "model"
    shutil.copytree(model, directory)
    (directory / "model").mkdir()
    (directory / "model" / "weights.txt").write_text("1")
    write_manifest(directory, more=[artifact_of(directory, "safetensors", "model")])
    return directory


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package of docs/extending.md."""
    folder = tmp_path_factory.mktemp("packages")
    install(folder, "counting_engine", documented_example("An engine"), group="finetune.engines", name="counting")
    return folder


@pytest.fixture(scope="module")
def client(model_directory: Path, packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    """Of a server that runs it."""
    log = tmp_path_factory.mktemp("outside") / "log"
    with RunningServer.start(model_directory, log, "--engine", "counting", packages=packages) as server, server.client() as client:
        yield client


@pytest.fixture(scope="module")
def text(model: Path) -> str:
    """The answer's text."""
    from tokenizers import Tokenizer

    return str(Tokenizer.from_file(str(model / "onnx" / "fp32" / "tokenizer.json")).decode(ANSWER, skip_special_tokens=True))


@pytest.mark.parametrize("stream", [False, True], ids=["complete", "streamed"])
def test_completions(client: OpenAI, text: str, stream: bool) -> None:
    """Its tokens become text and usage."""
    asked = {"model": NAME, "prompt": PROMPT, "max_tokens": len(ANSWER), "temperature": 0}
    if not stream:
        answer = client.completions.create(**asked)
        assert (answer.choices[0].text, answer.choices[0].finish_reason) == (text, "length")
        assert answer.usage is not None and answer.usage.completion_tokens == len(ANSWER)
        return
    chunks = list(client.completions.create(**asked, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == text
    assert chunks[-1].choices[0].finish_reason == "length" and len(chunks) > 1


@pytest.mark.parametrize("stream", [False, True], ids=["complete", "streamed"])
def test_chats(client: OpenAI, stream: bool) -> None:
    """The chat template is that beside the tokenizer; both ways give the same answer."""
    asked = {"model": NAME, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5, "temperature": 0}
    complete = client.chat.completions.create(**asked).choices[0].message.content
    assert complete
    if stream:
        chunks = client.chat.completions.create(**asked, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == complete


def test_an_unknown_engine(model: Path, packages: Path, tmp_path: Path) -> None:
    """The server ends with exit code 3 and the engines that there are."""
    server = RunningServer.start(model, tmp_path / "log", "--engine", "counter", packages=packages)
    assert server.process.wait(timeout=60) == 3
    assert "unknown engine 'counter'; known: onnx, counting" in server.log()


def test_an_artifact_that_is_not_there(model: Path, packages: Path, tmp_path: Path) -> None:
    """The engine's artifact is missing from a model that was exported for another one."""
    server = RunningServer.start(model, tmp_path / "log", "--engine", "counting", packages=packages)
    assert server.process.wait(timeout=60) == 3
    assert "there is no artifact safetensors fp32 (found: onnx fp32)" in server.log()
