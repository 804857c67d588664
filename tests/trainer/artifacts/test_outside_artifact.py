"""An artifact from an installed package, the one of docs/extending.md, published and verified."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from finetune_api.model_directory import Manifest, files_digest
from finetune_api.run_config import RunConfig
from finetune_server.model_directory import open_model_directory
from tests.outside_package import documented_example, install

pytestmark = pytest.mark.trainer
EMBEDDINGS = "model.embed_tokens.weight"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A stage as a program, with the package on its path."""
    environment = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.run([sys.executable, "-m", "finetune_trainer", *arguments], capture_output=True, text=True, env=environment)


def test_an_artifact_from_outside_is_published(make_config: Callable[..., RunConfig], folder: Path) -> None:
    """Its files lie in the model directory with an entry in the manifest and in the card, and inspect and the server verify them."""
    install(folder, "embeddings_artifact", documented_example("An artifact"), group="finetune.artifacts", name="embeddings")
    config = make_config(folder, method="full").model_copy(update={"export": {"embeddings": {"precision": "fp16"}}})
    (folder / "run.json").write_text(config.to_json())
    done = run(folder, "publish", "--run", str(folder / "run.json"))
    assert done.returncode == 0, done.stderr
    root = Path(config.paths.model)
    manifest = Manifest.from_json((root / "MANIFEST.json").read_bytes())
    assert [artifact.format for artifact in manifest.artifacts] == ["safetensors", "embeddings"]
    artifact = manifest.artifacts[1]
    assert ([file.path for file in artifact.files], artifact.sha256) == (["embeddings/embeddings.npy"], files_digest(artifact.files))
    matrix = np.load(root / "embeddings" / "embeddings.npy")
    assert np.array_equal(matrix, load_file(root / "model" / "model.safetensors")[EMBEDDINGS].astype(np.float16))
    assert "numpy.load(" in (root / "README.md").read_text()
    assert run(folder, "inspect", "--model-dir", str(root)).returncode == 0
    assert open_model_directory(root, "embeddings", artifact.precision).artifact.files == {"embeddings.npy"}


def test_without_its_package_it_is_refused(make_config: Callable[..., RunConfig], folder: Path) -> None:
    """The message names the artifacts that the image can write."""
    config = make_config(folder, method="full").model_copy(update={"export": {"embeddings": {}}})
    (folder / "run.json").write_text(config.to_json())
    done = run(folder, "publish", "--run", str(folder / "run.json"))
    assert done.returncode == 3
    assert "unknown artifact 'embeddings'; known: safetensors, adapter, onnx" in done.stderr
