"""What the files beside a classifier's graph must say."""

import json
from pathlib import Path

import pytest

from finetune_api.model_directory import Manifest
from finetune_server.engines.encoder_config import read_encoder_config
from finetune_server.model_directory import UnusableModel, VerifiedArtifact, VerifiedModel

pytestmark = pytest.mark.unit

CONFIG = {"model_type": "bert", "id2label": {"0": "a", "1": "b"}, "max_position_embeddings": 512, "vocab_size": 9, "pad_token_id": 0}


def published(folder: Path, config: dict[str, object], *, multi_label: bool = False) -> VerifiedModel:
    """With labels a and b in the manifest."""
    (folder / "config.json").write_text(json.dumps(config))
    manifest = Manifest(
        model="m", created_at="", task="sequence-classification", type="full", labels=["a", "b"], multi_label=multi_label, artifacts=[]
    )
    artifact = VerifiedArtifact(folder, "", frozenset(path.name for path in folder.iterdir()))
    return VerifiedModel(manifest, artifact, artifact)


@pytest.mark.parametrize(
    "config, tokenizer, length",
    [
        ({}, None, 512),
        ({}, {"model_max_length": 128}, 512),
        ({}, {"model_max_length": 10**30}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, {}, 512),
        ({"pad_token_id": None}, {}, 512),
    ],
)
def test_the_longest_input(tmp_path: Path, config: dict[str, object], tokenizer: dict[str, object] | None, length: int) -> None:
    """The model's positions that inputs can use, as prepare counts them; all-MiniLM-L12-v2's tokenizer says 128 of 512."""
    if tokenizer is not None:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    found = read_encoder_config(published(tmp_path, CONFIG | config), "sequence-classification")
    assert (found.context_length, found.labels, found.multi_label) == (length, ("a", "b"), False)


@pytest.mark.parametrize(
    "config, multi_label, text",
    [
        ({"id2label": {"0": "b", "1": "a"}}, False, "id2label is ['b', 'a'], but the manifest's labels are ['a', 'b']"),
        ({"id2label": {"0": "a", "2": "b"}}, False, "KeyError 1"),
        ({"problem_type": "multi_label_classification"}, False, "but the manifest says multiLabel False"),
        ({"problem_type": "single_label_classification"}, True, "but the manifest says multiLabel True"),
        ({"max_position_embeddings": None}, False, "KeyError 'max_position_embeddings'"),
    ],
)
def test_contradictions(tmp_path: Path, config: dict[str, object], multi_label: bool, text: str) -> None:
    """Files that contradict the manifest, or lack a key, are refused by name."""
    with pytest.raises(UnusableModel) as refused:
        read_encoder_config(published(tmp_path, CONFIG | config, multi_label=multi_label), "sequence-classification")
    assert str(tmp_path / "config.json") in str(refused.value)
    assert text in str(refused.value)
