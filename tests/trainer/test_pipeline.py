"""All stages one after another as programs, as docs/stages.md shows them: what one leaves is what the next one needs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from finetune_api.model_directory import Manifest
from finetune_api.result import StageResult

pytestmark = pytest.mark.trainer


def run_config(assets: Path, folder: Path, method: dict[str, Any]) -> dict[str, Any]:
    """A short run on the tiny model."""
    data = assets / "support-bot"
    return {
        "job": {"name": "support-bot", "specDigest": "digest"},
        "base": {"source": {"uri": str(assets / "smollm2-5m"), "shownAs": "pvc://models/smollm2-5m"}},
        "dataset": {"train": {"uri": str(data / "train.jsonl")}, "validation": {"uri": str(data / "validation.jsonl")}},
        "method": method,
        "hyperparameters": {"maxSteps": 4, "batchSize": 4, "precision": "fp32"},
        "evaluation": {"maxExamples": 8, "gate": [{"metric": "loss", "betterThanBase": True}]},
        "export": {"onnx": {"parityPrompts": 2}},
        "outputModel": "support-bot-v1",
        "paths": {"workspace": str(folder / "workspace"), "model": str(folder / "model")},
    }


def run_stage(stage: str, run: Path) -> str:
    """Runs one stage to its end and returns what it printed."""
    command = [sys.executable, "-m", "finetune_trainer", stage, "--run", str(run)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("method", [{"type": "qlora", "lora": {"rank": 4, "alpha": 8}}, {"type": "full"}], ids=["qlora", "full"])
def test_dataset_to_verified_model(assets: Path, tmp_path: Path, method: dict[str, Any]) -> None:
    """prepare, train, publish and inspect end with a model that beats its base, and each repeats its result when run again. One of the
    trainings is validated and may stop early."""
    run, config = tmp_path / "run.json", run_config(assets, tmp_path, method)
    if method["type"] == "full":
        config["evaluation"]["everySteps"] = 2
        config["hyperparameters"]["earlyStopping"] = {"patience": 3}
    run.write_text(json.dumps(config))
    for stage in ("prepare", "train", "publish"):
        run_stage(stage, run)
    for stage in ("prepare", "train", "publish"):
        assert "has already succeeded; repeating its result" in run_stage(stage, run)
    model = tmp_path / "model"
    inspect = [sys.executable, "-m", "finetune_trainer", "inspect", "--model-dir", str(model)]
    summary = StageResult.from_json(subprocess.run(inspect, check=True, capture_output=True).stdout).inspect
    manifest = Manifest.from_json((model / "MANIFEST.json").read_bytes())
    assert summary is not None
    assert summary.evaluation == manifest.evaluation
    assert summary.evaluation is not None
    assert summary.evaluation.gate_passed, summary.evaluation.gate
    assert manifest.lineage.hyperparameters.get("earlyStoppingPatience") == (3 if method["type"] == "full" else None)
    assert manifest.skew_check is not None
    assert manifest.skew_check.equal == manifest.skew_check.prompts > 0
    assert [parity.equal for parity in summary.evaluation.parity] == [2]
    kinds = ["safetensors", "adapter", "onnx"] if method["type"] == "qlora" else ["safetensors", "onnx"]
    assert [artifact.format for artifact in summary.artifacts] == kinds
    assert len((model / "metrics.csv").read_text().splitlines()) == 5, "a header and a line for each step"
    events = [file.path for file in manifest.other_files if file.path.startswith("runs/support-bot-v1/events.out.tfevents.")]
    assert len(events) == 2, "one of the training, one of publish"


def test_plain_text_goes_all_the_way(assets: Path, tmp_path: Path) -> None:
    """Rows of only a text are learnt from their first token on, and the export is proven on their beginnings."""
    config = run_config(assets, tmp_path, {"type": "lora", "lora": {"rank": 4, "alpha": 8}})
    texts = [f"The {colour} {thing} stood in the {place}, and nobody knew whose it was." for colour in ("red", "grey", "old")
             for thing in ("kettle", "lamp", "piano") for place in ("attic", "cellar", "barn")]  # fmt: skip
    train, held = tmp_path / "train.jsonl", tmp_path / "held.jsonl"
    train.write_text("".join(json.dumps({"text": text, "url": "u"}) + "\n" for text in texts[:20]))
    held.write_text("".join(json.dumps({"text": text, "url": "u"}) + "\n" for text in texts[20:]))
    config |= {"task": "completion", "dataset": {"train": {"uri": str(train)}, "validation": {"uri": str(held)}}}
    run = tmp_path / "run.json"
    run.write_text(json.dumps(config))
    for stage in ("prepare", "train", "publish"):
        run_stage(stage, run)
    summary = StageResult.from_json((tmp_path / "workspace" / "results" / "prepare.json").read_bytes()).prepare
    assert summary is not None
    assert summary.dataset.supervised_tokens >= summary.dataset.train_tokens - 20  # nothing precedes the first token of a row
    assert any("plain text, of which every token is learned" in note for note in summary.dataset.notes)
    manifest = Manifest.from_json((tmp_path / "model" / "MANIFEST.json").read_bytes())
    assert manifest.evaluation is not None
    assert [parity.equal for parity in manifest.evaluation.parity] == [2]
