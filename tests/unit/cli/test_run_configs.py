"""A laptop and a cluster check the same: one builder makes the run config of both."""

import argparse
from pathlib import Path

import pytest

from finetune_api.resources.finetuned_model import ClaimSource
from finetune_cli.manifest import read_manifest
from finetune_cli.run_configs import columns, of_manifest
from finetune_operator.build.run_config import run_config
from finetune_trainer.objectives.settings import custom_loss_of
from tests.unit.operator.samples import SETTINGS, meta

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*/job.yaml"))
SAME = ("task", "method", "hyperparameters", "checkpoints", "evaluation", "export", "world", "hardware", "network", "limits")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_validate_checks_what_prepare_will(path: Path) -> None:
    """Export, evaluation, checkpoints, world and hardware reach the checks of a laptop; only the places of files differ."""
    manifest = read_manifest(path)
    chosen = argparse.Namespace(data=Path("train.jsonl"), validation=Path("validation.jsonl"), loss=Path("loss.py"), model="base")
    laptop = of_manifest(chosen, manifest, "/tmp/workspace", {})
    cluster = run_config(meta(manifest.name), manifest.spec, "image:1", ClaimSource(name="claim"), SETTINGS)
    if loss := custom_loss_of(laptop.method):
        assert loss.uri.endswith("/loss.py")
        cluster = cluster.model_copy(update={"method": cluster.method.model_copy(update={"sft": laptop.method.sft})})
    assert {name: getattr(laptop, name) for name in SAME} == {name: getattr(cluster, name) for name in SAME}
    assert laptop.dataset.train.uri.endswith("/train.jsonl") and laptop.base.source.shown_as == "base"


@pytest.mark.parametrize(
    "text, pairs",
    [
        ("prompt=question", [("prompt", "question")]),
        ("prompt=question,completion=answer", [("prompt", "question"), ("completion", "answer")]),
        ("prompt=question, completion=answer", [("prompt", "question"), ("completion", "answer")]),
        ("text=title, or body,label=class", [("text", "title, or body"), ("label", "class")]),
    ],
)
def test_columns_are_named_one_by_one_or_all_at_once(text: str, pairs: list[tuple[str, str]]) -> None:
    """A comma ends a pair when another pair follows it; a column's name may contain one."""
    assert columns(text) == pairs
