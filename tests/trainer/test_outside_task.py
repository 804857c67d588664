"""A task from an installed package, the one of docs/extending.md, through all stages as programs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from finetune_api.model_directory import Manifest
from finetune_api.result import StageResult
from tests.outside_package import documented_example, install
from tests.trainer.test_pipeline import run_config

pytestmark = pytest.mark.trainer

NUMBERS = ("eins", "zwei", "drei", "vier", "fünf", "sechs")
THINGS = ("Haus", "Baum", "Auto", "Buch")


def test_a_task_from_outside_goes_all_the_way(assets: Path, tmp_path: Path) -> None:
    """Its rows are recognised by the names that public datasets use, trained on, measured, exported and named in the card."""
    install(tmp_path, "translation_task", documented_example("A task"), group="finetune.tasks", name="translation")
    data = tmp_path / "rows.jsonl"
    rows = [
        {"de": f"{number} {thing}", "en": f"{place} things: {thing.lower()}"} for place, number in enumerate(NUMBERS) for thing in THINGS
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = run_config(assets, tmp_path, {"type": "lora", "lora": {"rank": 4, "alpha": 8}})
    split = {"train": {"uri": str(data)}, "split": {"fraction": 0.25, "seed": 1}}
    config |= {"task": "translation", "dataset": split, "evaluation": {"maxExamples": 8}}
    (tmp_path / "run.json").write_text(json.dumps(config))
    for stage in ("prepare", "train", "publish"):
        run(stage, tmp_path)
    summary = StageResult.from_json((tmp_path / "workspace" / "results" / "prepare.json").read_bytes()).prepare
    assert summary is not None
    assert summary.dataset.format == "JSONL, de/en"
    assert summary.dataset.train_examples + summary.dataset.validation_examples == len(rows)
    manifest = Manifest.from_json((tmp_path / "model" / "MANIFEST.json").read_bytes())
    assert manifest.task == "translation"
    assert manifest.skew_check is not None
    assert manifest.skew_check.equal == manifest.skew_check.prompts > 0
    assert "/v1/chat/completions" in (tmp_path / "model" / "README.md").read_text()


def run(stage: str, folder: Path) -> None:
    """Runs one stage to its end, with the package on its path."""
    command = [sys.executable, "-m", "finetune_trainer", stage, "--run", str(folder / "run.json")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(folder)})
    assert done.returncode == 0, done.stdout + done.stderr
