"""The digest of a spec: equal for jobs that train the same model, different for all others."""

from typing import Any

import pytest

from finetune_api.resources.finetune_job import FineTuneJobSpec, output_name, spec_digest

SPEC: dict[str, Any] = {"base": {"source": "s3://models/base"}, "dataset": {"train": {"source": "pvc://data/train.jsonl"}}}

SAME: list[tuple[str, dict[str, Any]]] = [
    ("defaults written out", {"task": "chat", "method": {"type": "lora", "lossOn": "assistant"}, "hyperparameters": {}}),
    ("the default split written out", {"dataset": {**SPEC["dataset"], "validation": {"split": {"fraction": 0.1, "seed": 42}}}}),
    ("where and how long it runs", {"limits": {"maxRestarts": 0}, "training": {"nodes": 2}, "publishing": {"gpus": 1}}),
    ("its course", {"suspend": True, "queueName": "team"}),
    ("where the result goes", {"output": {"model": "other"}, "workspace": {"claimName": "other"}, "checkpoints": {"keep": 9}}),
    ("where checkpoints are copied to", {"checkpoints": {"store": {"uri": "s3://safe/a"}}}),
]
DIFFERENT: list[tuple[str, dict[str, Any]]] = [
    ("the base", {"base": {"source": "s3://models/other"}}),
    ("the data", {"dataset": {"train": {"source": "pvc://data/other.jsonl"}}}),
    ("the split", {"dataset": {**SPEC["dataset"], "validation": {"split": {"seed": 1}}}}),
    ("the method", {"method": {"type": "full"}}),
    ("a hyperparameter", {"hyperparameters": {"seed": 1}}),
    ("the gate", {"evaluation": {"gate": [{"metric": "loss", "maximum": 1}]}}),
    ("the export", {"export": {"onnx": {}}}),
    ("published checkpoints", {"checkpoints": {"publish": True}}),
    ("which checkpoints are published", {"checkpoints": {"publish": True, "keep": 9}}),
]


def digest(changes: dict[str, Any]) -> str:
    """Of the small spec with some fields replaced."""
    return spec_digest(FineTuneJobSpec.model_validate({**SPEC, **changes}))


@pytest.mark.parametrize("changes", [row[1] for row in SAME], ids=[row[0] for row in SAME])
def test_the_same_model_has_the_same_digest(changes: dict[str, Any]) -> None:
    """A default written out is no difference, nor is what does not touch the weights."""
    assert digest(changes) == digest({})


def test_each_decisive_change_has_a_digest_of_its_own() -> None:
    """Two different trainings are never taken for one."""
    digests = [digest({})] + [digest(changes) for _, changes in DIFFERENT]
    assert len(set(digests)) == len(digests)


def test_copies_do_not_change_what_is_published() -> None:
    """Published checkpoints are the same ones, wherever their copies are."""
    published: dict[str, Any] = {"publish": True, "keep": 9}
    assert digest({"checkpoints": published | {"store": {"uri": "s3://safe/a"}}}) == digest({"checkpoints": published})


def test_a_field_that_is_added_changes_no_digest() -> None:
    """The digest of a spec is the same in every version: it is made of what differs from the defaults."""
    assert digest({}) == "3255cc0e5369ed77da8ca563bdd2063cc44e52f73b77f11777f75578b3ead2d1"


@pytest.mark.parametrize(("output", "expected"), [({}, "tune"), ({"model": "bot-v2"}, "bot-v2")])
def test_the_model_is_named_after_its_job(output: dict[str, str], expected: str) -> None:
    """Unless the spec names it."""
    assert output_name("tune", FineTuneJobSpec.model_validate({**SPEC, "output": output})) == expected
