"""Makes a model directory as publish does, out of a Hugging Face folder: the ONNX export and its manifest."""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from finetune_api.model_directory import MANIFEST_FILE, Artifact, ArtifactFormat, File, Manifest

ROOT = Path(__file__).parents[3]
ONNX_FOLDER = "onnx/fp32"


def cached_model_directory(hf_folder: Path, cache: Path) -> Path:
    """The model directory of `hf_folder` below `cache`, made at the first use (seconds); complete or absent."""
    content = (hf_folder / "config.json").read_bytes() + (hf_folder / "chat_template.jinja").read_bytes()
    made = cache / f"{hf_folder.name}-{hashlib.sha256(content + version('onnxruntime-genai').encode()).hexdigest()[:12]}"
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            with tempfile.TemporaryDirectory(dir=cache) as temporary:
                new = Path(temporary) / "model"
                export(hf_folder, new / ONNX_FOLDER)
                write_manifest(new)
                new.rename(made)
    return made


def cached_tool_model(hf_folder: Path, cache: Path) -> Path:
    """A Hugging Face folder below `cache` of a model that calls tools, made out of `hf_folder` at the first use."""
    program = Path(__file__).with_name("export_tool_model.py")
    key = hashlib.sha256(program.read_bytes()).hexdigest()[:12]
    made = cache / f"tool-model-{key}"
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / ".tools-lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            with tempfile.TemporaryDirectory(dir=cache) as temporary:
                new = Path(temporary) / "model"
                paths = {"PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in (".", "api", "text", "trainer-image"))}
                subprocess.run([sys.executable, program, hf_folder, new], check=True, capture_output=True, env=os.environ | paths)
                new.rename(made)
    return made


def export(hf_folder: Path, out: Path) -> None:
    """Runs the onnxruntime-genai builder."""
    out.mkdir(parents=True)
    command = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", str(hf_folder), "-o", str(out), "-p", "fp32", "-e", "cpu"]
    quiet = {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([*command, "-c", scratch], check=True, capture_output=True, env=os.environ | quiet)


def write_manifest(
    directory: Path, *, task: str = "chat", labels: Sequence[str] = (), multi_label: bool = False, more: Sequence[Artifact] = ()
) -> None:
    """MANIFEST.json for all files of the export, and for `more` artifacts."""
    manifest = Manifest(
        model="tiny",
        created_at="2026-01-01T00:00:00Z",
        task=task,
        type="full",
        labels=list(labels),
        multi_label=multi_label,
        artifacts=[artifact_of(directory, "onnx", ONNX_FOLDER), *more],
    )
    (directory / MANIFEST_FILE).write_text(manifest.to_json(indent=1))


def artifact_of(directory: Path, fmt: ArtifactFormat, path: str) -> Artifact:
    """An artifact of all files below a path, in fp32."""
    files = [file_entry(directory, file) for file in sorted((directory / path).rglob("*")) if file.is_file()]
    digest = hashlib.sha256("".join(f"{file.sha256}  {file.path}\n" for file in files).encode()).hexdigest()
    return Artifact(format=fmt, precision="fp32", path=path, size_bytes=sum(file.size_bytes for file in files), sha256=digest, files=files)


def file_entry(directory: Path, path: Path) -> File:
    """One file as the manifest lists it."""
    content = path.read_bytes()
    return File(path=path.relative_to(directory).as_posix(), size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def edit_manifest(directory: Path, **fields: object) -> None:
    """Overwrites fields of MANIFEST.json, as a broken or a newer publish would have written them."""
    path = directory / MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
