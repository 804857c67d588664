"""From start to end: checks before loading, the key, readiness, drain and exit codes. Each test has its own process."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from openai import AuthenticationError

from tests.server.assets.onnx_model import ONNX_FOLDER, edit_manifest
from tests.server.running_server import ROOT, RunningServer

pytestmark = pytest.mark.server


@pytest.fixture
def damaged(model: Path, tmp_path: Path) -> Path:
    """A copy of the model directory for a test to damage; the weights are linked, since no test writes into them."""
    copy = tmp_path / "model"
    shutil.copytree(model, copy, copy_function=lambda source, target: Path(target).hardlink_to(source))
    for name in ("MANIFEST.json", f"{ONNX_FOLDER}/tokenizer_config.json"):
        content = (copy / name).read_text()
        (copy / name).unlink()
        (copy / name).write_text(content)
    return copy


def one_letter(directory: Path) -> None:
    """Another file of the same size."""
    path = directory / ONNX_FOLDER / "tokenizer_config.json"
    path.write_text(path.read_text().replace("e", "f", 1))


def escape(directory: Path) -> None:
    """An artifact that lists a file outside of it."""
    manifest = json.loads((directory / "MANIFEST.json").read_text())
    manifest["artifacts"][0]["files"][0]["path"] = "../../etc/passwd"
    edit_manifest(directory, artifacts=manifest["artifacts"])


def another_graph(directory: Path) -> None:
    """A listed config that names a graph that was not verified."""
    path = directory / ONNX_FOLDER / "genai_config.json"
    config = json.loads(path.read_text())
    config["model"]["decoder"]["filename"] = "../../outside.onnx"
    path.unlink()
    path.write_text(json.dumps(config))
    (directory / "outside.onnx").hardlink_to(directory / ONNX_FOLDER / "model.onnx")
    manifest = json.loads((directory / "MANIFEST.json").read_text())
    (listed,) = (file for file in manifest["artifacts"][0]["files"] if file["path"] == f"{ONNX_FOLDER}/genai_config.json")
    listed |= {"sizeBytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    edit_manifest(directory, artifacts=manifest["artifacts"])


DAMAGES: list[tuple[Callable[[Path], object], str, str]] = [
    (lambda d: (d / "MANIFEST.json").unlink(), "MANIFEST.json", "No such file or directory; publish writes it last"),
    (lambda d: (d / "MANIFEST.json").write_text("{"), "MANIFEST.json", "not a manifest"),
    (lambda d: edit_manifest(d, contractVersion=2), "MANIFEST.json", "contractVersion is 2, and this server reads 1"),
    (lambda d: edit_manifest(d, type="half"), "MANIFEST.json", "type: Input should be 'adapter' or 'full'"),
    (lambda d: edit_manifest(d, artifacts=[]), "MANIFEST.json", "there is no artifact onnx fp32 (found: none)"),
    (one_letter, "tokenizer_config.json", "sha256 is"),
    (lambda d: (d / ONNX_FOLDER / "tokenizer_config.json").write_text("{}"), "tokenizer_config.json", "2 bytes, but MANIFEST.json says"),
    (lambda d: (d / ONNX_FOLDER / "tokenizer.json").unlink(), "tokenizer.json", "No such file or directory, but MANIFEST.json lists it"),
    (lambda d: (d / ONNX_FOLDER / "extra.jinja").write_text("x"), "extra.jinja", "MANIFEST.json does not list it"),
    (escape, "MANIFEST.json", "'../../etc/passwd' is not below 'onnx/fp32'"),
    (another_graph, "genai_config.json", "model.decoder.filename is '../../outside.onnx', which is not a file of this artifact"),
]


@pytest.mark.parametrize(
    "damage, file, text",
    DAMAGES,
    ids=["absent", "no JSON", "version", "field", "no ONNX", "changed", "size", "missing", "added", "outside", "another graph"],
)
def test_a_damaged_model(damaged: Path, tmp_path: Path, damage: Callable[[Path], object], file: str, text: str) -> None:
    """A model directory that is not exactly what publish wrote ends with exit code 3 and a message naming the file."""
    damage(damaged)
    server = RunningServer.start(damaged, tmp_path / "log")
    assert server.process.wait(timeout=60) == 3
    line = server.log_lines()[-1]
    assert line["level"] == "error"
    assert file in str(line["message"])
    assert text in str(line["message"])


def test_hidden_files(damaged: Path, tmp_path: Path) -> None:
    """Hidden files are the file system's own: an NFS server leaves .nfs0001 where a file was deleted that is still open."""
    (damaged / ONNX_FOLDER / ".nfs0001").write_text("x")
    (damaged / ONNX_FOLDER / ".snapshot").mkdir()
    (damaged / ONNX_FOLDER / ".snapshot" / "model.onnx").write_text("x")
    with RunningServer.start(damaged, tmp_path / "log") as server:
        assert server.get("/readyz")[0] == 200


def test_an_empty_key(model: Path, tmp_path: Path) -> None:
    """A server whose key is empty does not start, instead of answering everybody."""
    server = RunningServer.start(model, tmp_path / "log", FINETUNE_API_KEY="\n", FINETUNE_API_KEY_SECRET="bot-key")
    assert server.process.wait(timeout=60) == 3
    assert "the key api-key of Secret bot-key" in str(server.log_lines()[-1]["message"])


def test_a_context_the_model_has_not(model: Path, tmp_path: Path) -> None:
    """--max-context over the model's own limit is refused at the start."""
    server = RunningServer.start(model, tmp_path / "log", "--max-context", "9000")
    assert server.process.wait(timeout=60) == 3
    assert "--max-context 9000" in server.log()
    assert "takes 8192 tokens at most" in server.log()


def test_a_port_in_use(model: Path, tmp_path: Path, server: RunningServer) -> None:
    """A port that is taken ends the program with a message, not with a traceback."""
    second = RunningServer.start(model, tmp_path / "log", "--port", str(server.port))
    assert second.process.wait(timeout=60) == 1
    assert f"cannot listen on 127.0.0.1:{server.port}: Address already in use" in second.log()


def test_ready_only_when_the_model_answers(model: Path, tmp_path: Path) -> None:
    """While the model loads the server is alive and not ready, and API requests are refused with 503."""
    with_key = RunningServer.start(model, tmp_path / "log")
    with_key.wait_for(200, "/healthz")
    status, body = with_key.get("/v1/models")
    if with_key.get("/readyz")[0] == 503:  # on a very fast machine the model may be there already
        assert (status, json.loads(body)["error"]["code"]) == (503, "service_unavailable")
    with with_key:
        assert with_key.get("/readyz") == (200, '{"status":"ready"}')
        assert with_key.get("/v1/models")[0] == 200


def test_the_key(model: Path, tmp_path: Path) -> None:
    """With a key in the environment the API wants it and the probes do not; a wrong one is OpenAI's 401."""
    with RunningServer.start(model, tmp_path / "log", FINETUNE_API_KEY="s3cret\n") as server:
        with server.client("s3cret") as client:
            assert client.models.list().data[0].id == "support-bot"
        with server.client("wrong") as client, pytest.raises(AuthenticationError) as refused:
            client.models.list()
        assert refused.value.code == "invalid_api_key"
        for header in ({}, {"Authorization": "Basic s3cret"}, {"Authorization": "s3cret"}):
            response = httpx.post(f"{server.url}/v1/chat/completions", headers=header, content=b"{")
            assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        assert [server.get(path)[0] for path in ("/healthz", "/readyz", "/metrics")] == [200, 200, 200]
        assert "s3cret" not in server.log()


def test_drain(model: Path, tmp_path: Path) -> None:
    """After SIGTERM the server is not ready, refuses new requests, finishes the running one and exits with 0."""
    with RunningServer.start(model, tmp_path / "log") as server:
        chunks: list[str] = []
        started = threading.Event()

        def read() -> None:
            body = {"model": "support-bot", "prompt": "Hello", "max_tokens": 200, "temperature": 2, "seed": 1, "stream": True}
            with httpx.stream("POST", f"{server.url}/v1/completions", json=body, timeout=60) as response:
                for line in response.iter_lines():
                    chunks.append(line)
                    started.set()

        reader = threading.Thread(target=read)
        reader.start()
        assert started.wait(timeout=60)
        server.terminate()
        server.wait_for(503, "/readyz")
        assert '"draining"' in server.get("/readyz")[1]
        assert server.get("/v1/models")[0] == 503
        reader.join(timeout=60)
        assert chunks[-2] == "data: [DONE]"
        assert server.process.wait(timeout=30) == 0
        assert '"in_flight": 1' in server.log()


def test_grace(model: Path, tmp_path: Path) -> None:
    """An answer that takes longer than the grace is cut off; the exit code is still 0."""
    with RunningServer.start(model, tmp_path / "log", "--grace", "0.2") as server:
        body = {"model": "support-bot", "prompt": "Hello", "max_tokens": 4000, "temperature": 2, "seed": 1, "stream": True}
        with httpx.stream("POST", f"{server.url}/v1/completions", json=body, timeout=60) as response:
            lines = response.iter_lines()
            next(lines)
            server.terminate()
            assert server.process.wait(timeout=30) == 0
        assert "grace period is over, aborting responses" in server.log()


def test_stop_while_loading(model: Path, tmp_path: Path) -> None:
    """SIGTERM while the model is loaded ends the program at once, with 0."""
    server = RunningServer.start(model, tmp_path / "log")
    server.wait_for(200, "/healthz")
    server.terminate()
    assert server.process.wait(timeout=30) == 0


def hears_sigterm(pid: int) -> bool:
    """True once the process has a handler for it."""
    status = Path(f"/proc/{pid}/status").read_text()
    return bool(int(status.partition("SigCgt:")[2].split()[0], 16) >> (signal.SIGTERM - 1) & 1)


def test_stop_while_starting(model: Path, tmp_path: Path) -> None:
    """SIGTERM is heard before the libraries are imported: as a container's first process it would never get it until then."""
    server = RunningServer.start(model, tmp_path / "log")
    while not hears_sigterm(server.process.pid):
        assert server.process.poll() is None
    assert "onnxruntime" not in Path(f"/proc/{server.process.pid}/maps").read_text()
    server.terminate()
    assert server.process.wait(timeout=30) == 0


def test_runs_without_torch(model: Path) -> None:
    """Everything that the server loads, model included, comes without torch and transformers."""
    program = (
        "import sys\n"
        "from finetune_server import __main__, program\n"
        "from finetune_server.models.load import load_model\n"
        "from finetune_server.settings import parse_settings\n"
        "load_model(parse_settings(sys.argv[1:]))\n"
        "print(sorted({'torch', 'transformers', 'onnx', 'onnxruntime_genai', 'kubernetes'} & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", program, "--model-dir", str(model), "--served-name", "x"]
    paths = {"PYTHONPATH": f"{ROOT / 'api'}:{ROOT / 'text'}:{ROOT / 'inference-image'}"}
    assert subprocess.run(command, env=paths, check=True, capture_output=True, text=True).stdout.strip() == "[]"
