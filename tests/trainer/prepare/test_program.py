"""The program as a pod or a laptop runs it, with the real model and data of the examples."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from finetune_api.exit_codes import ExitCode
from finetune_api.progress import last_progress
from finetune_trainer.workspace.prepared import Prepared
from finetune_trainer.workspace.workspace import Workspace
from tests.unit.prepare.run import run_config


def run_program(assets: Path, folder: Path, **settings: Any) -> subprocess.CompletedProcess[str]:
    """`python -m finetune_trainer prepare` with SmolLM2 and the example's dialogues."""
    rows = {side: {"uri": str(assets / "support-bot" / f"{side}.jsonl")} for side in ("train", "validation")}
    base = {"source": {"uri": str(assets / "smollm2-5m")}}
    (folder / "run.json").write_text(run_config(folder, **{"base": base, "dataset": rows} | settings).to_json())
    command = [sys.executable, "-m", "finetune_trainer", "prepare", "--run", str(folder / "run.json")]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_example_s_data_is_prepared(assets: Path, tmp_path: Path) -> None:
    """Every dialogue of the example is used; a second run repeats the result without doing the work again."""
    done = run_program(assets, tmp_path, export={"onnx": {}})
    assert done.returncode == 0, done.stderr
    progress = last_progress(done.stdout)
    assert progress is not None
    assert progress.activity == "prepared"
    path = Workspace(tmp_path / "workspace").prepared
    prepared = Prepared.from_json(path.read_bytes())
    lines = [len((assets / "support-bot" / f"{side}.jsonl").read_text().splitlines()) for side in ("train", "validation")]
    data = prepared.summary.dataset
    assert [data.train_examples + data.in_both + data.duplicates, data.validation_examples] == lines
    assert 0 < data.supervised_tokens < data.train_tokens
    assert prepared.eos_token_ids == [2]
    written = path.stat().st_mtime_ns
    again = run_program(assets, tmp_path, export={"onnx": {}})
    assert again.returncode == 0
    assert "prepare has already succeeded" in again.stdout
    assert path.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    "content, words",
    [
        (b'{"messages": [{"role": "user", "content": "Hi"}]}', "line 1: messages has no message of the assistant"),
        (None, "file not found"),
    ],
)
def test_a_failure_is_told_without_a_traceback(assets: Path, tmp_path: Path, content: bytes | None, words: str) -> None:
    """Standard error has the words for people, the exit code tells the operator that trying again is useless."""
    if content is not None:
        (tmp_path / "rows.jsonl").write_bytes(content)
    failed = run_program(assets, tmp_path, dataset={"train": {"uri": str(tmp_path / "rows.jsonl")}, "split": {}})
    assert failed.returncode == ExitCode.INVALID_INPUT
    assert words in failed.stderr
    assert "Traceback" not in failed.stderr


def test_the_code_of_a_loss_is_pinned(assets: Path, tmp_path: Path) -> None:
    """Prepared once, later changes of the file have no effect; with another code, checkpoints of the first are not its own."""
    file, workspace = tmp_path / "loss.py", Workspace(tmp_path / "workspace")
    method = {"sft": {"customLoss": {"uri": str(file), "shownAs": "configmap://losses/loss.py"}}}
    first = "raise RuntimeError('it is not run here')\n\ndef loss(logits, labels):\n    return logits[:, 0]\n"
    file.write_text(first)
    assert run_program(assets, tmp_path, method=method).returncode == 0
    prepared = Prepared.from_json(workspace.prepared.read_bytes())
    assert prepared.custom_loss is not None and prepared.custom_loss.sha256 == hashlib.sha256(first.encode()).hexdigest()
    shown = prepared.summary.hyperparameters["customLoss"]
    assert shown.value == "loss of configmap://losses/loss.py" and prepared.custom_loss.sha256[:12] in shown.reason
    file.write_text("def loss(logits, labels):\n    return logits[:, 1]\n")
    again = run_program(assets, tmp_path, method=method)
    assert "prepare has already succeeded" in again.stdout
    assert workspace.custom_loss.read_text() == first
    workspace.custom_loss.write_text("damaged")
    assert run_program(assets, tmp_path, method=method).returncode == 0
    assert workspace.custom_loss.read_text() == file.read_text()
    assert Prepared.from_json(workspace.prepared.read_bytes()).identity != prepared.identity


def test_code_that_cannot_work_is_refused_first(assets: Path, tmp_path: Path) -> None:
    """Before anything is read of the data."""
    (tmp_path / "loss.py").write_text("def loss(logits): ...")
    method = {"sft": {"customLoss": {"uri": str(tmp_path / "loss.py")}}}
    failed = run_program(assets, tmp_path, method=method, dataset={"train": {"uri": str(tmp_path / "absent.jsonl")}, "split": {}})
    assert failed.returncode == ExitCode.INVALID_INPUT
    assert "loss.py, line 1: function loss takes 1 of 2 arguments" in failed.stderr
