"""Run configs for the tests of prepare, in one folder: base/, train.jsonl, workspace/."""

from pathlib import Path
from typing import Any

from finetune_api.run_config import RunConfig


def run_config(folder: Path, **settings: Any) -> RunConfig:
    """The smallest run config, with top-level keys set as in its JSON."""
    default = {
        "job": {"name": "support-bot", "specDigest": "abc"},
        "base": {"source": {"uri": str(folder / "base"), "shownAs": "pvc://models/base"}},
        "dataset": {"train": {"uri": str(folder / "train.jsonl"), "shownAs": "pvc://data/train.jsonl"}, "split": {}},
        "outputModel": "support-bot",
        "paths": {"workspace": str(folder / "workspace"), "model": str(folder / "model")},
    }
    return RunConfig.model_validate(default | settings)
