"""The tokenizer's files of a published model: one chat template, and it is the one of the training."""

import json
from pathlib import Path
from typing import Any

import pytest

from finetune_trainer.tokenizer import copy_tokenizer

pytestmark = pytest.mark.trainer
OWN = "the base's"
TRAINED = "the training's"


@pytest.mark.parametrize(
    ("inline", "file", "template", "published", "left_inline"),
    [
        (None, None, None, None, None),
        (None, OWN, None, OWN, None),
        (OWN, None, None, OWN, OWN),
        ([{"name": "default", "template": OWN}], None, None, OWN, [{"name": "default", "template": OWN}]),
        (None, OWN, TRAINED, TRAINED, None),
        (OWN, None, TRAINED, TRAINED, None),
        (OWN, OWN, TRAINED, TRAINED, None),
        (None, None, TRAINED, TRAINED, None),
    ],
)
def test_one_chat_template(
    inline: Any, file: str | None, template: str | None, published: str | None, left_inline: Any, tmp_path: Path
) -> None:
    """The base's own as it is, or the one that the rows were rendered with, and then no other."""
    base, model = tmp_path / "base", tmp_path / "model"
    base.mkdir()
    config = {"model_max_length": 64} | ({"chat_template": inline} if inline else {})
    (base / "tokenizer_config.json").write_text(json.dumps(config))
    (base / "tokenizer.json").write_text("{}")
    if file:
        (base / "chat_template.jinja").write_text(file)
    copy_tokenizer(base, model, template)
    written = model / "chat_template.jinja"
    assert (written.read_text() if written.exists() else None) == published
    found = json.loads((model / "tokenizer_config.json").read_bytes())
    assert (found.get("chat_template"), found["model_max_length"]) == (left_inline, 64)
    assert (model / "tokenizer.json").exists()
