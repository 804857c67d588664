"""Model directories of classifiers as publish makes them: the graph, its config and tokenizer, and the manifest."""

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from tests.server.assets.onnx_model import ONNX_FOLDER, write_manifest

PROGRAM = Path(__file__).with_name("export_classifiers.py")
FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")
MULTI_LABEL = "multi-label"
KINDS = {
    "sequence-classification": "sequence-classification",
    "token-classification": "token-classification",
    MULTI_LABEL: "sequence-classification",
    "text-embedding": "text-embedding",
}
"""Directories and the exports they are made of."""


def cached_classifiers(encoder: Path, cache: Path) -> Path:
    """Folder of the directories that KINDS names, made at the first use (under a minute); complete or absent."""
    key = hashlib.sha256(PROGRAM.read_bytes() + Path(__file__).read_bytes() + version("torch").encode()).hexdigest()[:12]
    made = cache / f"classifiers-{key}"
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / ".classifiers-lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            with tempfile.TemporaryDirectory(dir=cache) as temporary:
                exports, new = Path(temporary) / "exports", Path(temporary) / "new"
                subprocess.run([sys.executable, PROGRAM, encoder, exports], check=True, capture_output=True)
                for kind, task in KINDS.items():
                    write_model_directory(exports / task, new / kind, task, multi_label=kind == MULTI_LABEL)
                new.rename(made)
    return made


def write_model_directory(export: Path, out: Path, task: str, *, multi_label: bool) -> None:
    """One directory: hf/ beside it is what transformers loads in the tests."""
    folder = out / ONNX_FOLDER
    folder.mkdir(parents=True)
    shutil.copytree(export / "hf", out / "hf")
    for name in FILES:
        shutil.copyfile(export / "hf" / name, folder / name)
    (folder / "model.onnx").hardlink_to(export / "model.onnx")
    config = json.loads((folder / "config.json").read_text())
    if task == "sequence-classification":
        config["problem_type"] = "multi_label_classification" if multi_label else "single_label_classification"
        (folder / "config.json").write_text(json.dumps(config))
    labels = [] if task == "text-embedding" else [config["id2label"][str(index)] for index in range(len(config["id2label"]))]
    write_manifest(out, task=task, labels=labels, multi_label=multi_label)
