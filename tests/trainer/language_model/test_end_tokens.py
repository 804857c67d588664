"""What the published generation config says about the end of an answer."""

import json
from pathlib import Path

import pytest

from finetune_trainer.language_model.model import copy_generation_config

pytestmark = pytest.mark.trainer


@pytest.mark.parametrize(
    ("base", "end_tokens", "expected"),
    [
        ({"eos_token_id": 2, "top_p": 0.9}, [2], {"eos_token_id": 2, "top_p": 0.9}),
        ({"eos_token_id": [5, 2]}, [2, 5], {"eos_token_id": [5, 2]}),
        ({"eos_token_id": 151643, "max_new_tokens": 2048}, [151643, 151645], {"eos_token_id": [151643, 151645], "max_new_tokens": 2048}),
        ({"do_sample": True}, [7], {"do_sample": True, "eos_token_id": [7]}),
        ({"eos_token_id": 2}, [], {"eos_token_id": 2}),
    ],
    ids=["the base's own", "a list", "a base model with a chat template", "none", "nothing known"],
)
def test_every_end_token_is_published(tmp_path: Path, base: dict[str, object], end_tokens: list[int], expected: dict[str, object]) -> None:
    """The base's generation config is kept, and holds all tokens that end an answer."""
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "generation_config.json").write_text(json.dumps(base))
    copy_generation_config(tmp_path, end_tokens, folder)
    assert json.loads((folder / "generation_config.json").read_bytes()) == expected
