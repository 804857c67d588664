"""inspect finds every way in which a model directory differs from its manifest."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finetune_api.exit_codes import ExitCode
from finetune_api.model_directory import Artifact, File, Manifest, files_digest
from finetune_api.result import StageResult
from finetune_trainer.inspect.main import inspect_model
from finetune_trainer.workspace.files import sha256_of

pytestmark = pytest.mark.trainer


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model directory of three small files."""
    (tmp_path / "model").mkdir()
    for name in ("model/config.json", "model/model.safetensors", "README.md"):
        (tmp_path / name).write_text(f"bytes of {name}")
    files = [
        File(path=name, size_bytes=(tmp_path / name).stat().st_size, sha256=sha256_of(tmp_path / name))
        for name in ("model/config.json", "model/model.safetensors", "README.md")
    ]
    artifact = Artifact(
        format="safetensors", precision="bf16", path="model", size_bytes=60, sha256=files_digest(files[:2]), files=files[:2]
    )
    manifest = Manifest(model="m", created_at="2026-01-01T00:00:00Z", task="chat", type="full", artifacts=[artifact], other_files=files[2:])
    (tmp_path / "MANIFEST.json").write_text(manifest.to_json())
    return tmp_path


Change = Callable[[Path], object]


def manifest_with(change: Callable[[Any], object]) -> Change:
    """A change of the manifest's JSON."""

    def apply(root: Path) -> None:
        document = json.loads((root / "MANIFEST.json").read_bytes())
        change(document)
        (root / "MANIFEST.json").write_text(json.dumps(document))

    return apply


def write(name: str, text: str) -> Change:
    """A file with that text."""
    return lambda root: (root / name).write_text(text)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda root: (root / "MANIFEST.json").unlink(), "ManifestNotFound", "MANIFEST.json does not exist"),
        (write("MANIFEST.json", "{"), "InvalidManifest", "the document: Invalid JSON"),
        (manifest_with(lambda document: document.pop("task")), "InvalidManifest", "task: Field required"),
        (manifest_with(lambda document: document.update(contractVersion=2)), "UnsupportedContractVersion", "version 2"),
        (write("model/config.json", "bytes of model/config.jsom"), "ChecksumMismatch", "model/config.json has sha256"),
        (write("model/model.safetensors", "short"), "ChecksumMismatch", "model/model.safetensors has 5 bytes"),
        (write("README.md", "bytes of readme.md"), "ChecksumMismatch", "README.md has sha256"),
        (lambda root: (root / "model/config.json").unlink(), "FileMissing", "model/config.json is listed"),
        (write("model/evil.py", "import os"), "UnlistedFile", "model/evil.py is not listed"),
        (manifest_with(lambda d: d["artifacts"][0].update(sha256="0")), "ChecksumMismatch", "the sha256 of model in"),
        (manifest_with(lambda d: d["artifacts"][0]["files"].pop()), "ChecksumMismatch", "the sha256 of model in"),
        (manifest_with(lambda d: d["otherFiles"][0].update(path="../secret")), "InvalidManifest", "'../secret'"),
        (manifest_with(lambda d: d["otherFiles"][0].update(path="/etc/passwd")), "InvalidManifest", "'/etc/passwd'"),
    ],
)
def test_corruption(model: Path, change: Change, code: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each damage is an error of its own that names the file, and exit code 3."""
    change(model)
    assert inspect_model(str(model)) == ExitCode.INVALID_INPUT
    result = StageResult.from_json(capsys.readouterr().out)
    assert result.error is not None
    assert result.error.code == code
    assert words in result.error.message


def test_all_damage_is_told(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first finding is the message, the others are details."""
    for name in ("model/config.json", "README.md"):
        (model / name).unlink()
    inspect_model(str(model))
    error = StageResult.from_json(capsys.readouterr().out).error
    assert error is not None
    assert error.message.startswith("README.md is listed")
    assert [detail.split()[0] for detail in error.details] == ["model/config.json"]


def test_hidden_files_are_the_file_systems_business(model: Path) -> None:
    """A network file system's leftovers do not spoil a model."""
    (model / "model" / ".nfs0001").write_text("")
    assert inspect_model(str(model)) == 0


def test_inspect_imports_no_torch(model: Path) -> None:
    """Inspection starts in no time and fits into a small pod."""
    code = (
        "import sys; from finetune_trainer.__main__ import main; "
        f"code = main(['inspect', '--model-dir', {str(model)!r}]); "
        "print(sorted({'torch', 'transformers', 'pyarrow', 'numpy'} & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert StageResult.from_json(done.stdout).inspect is not None
