"""How long an input may be, for trainer and server alike."""

import pytest

from finetune_text.positions import usable_positions

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "config, length",
    [
        ({"max_position_embeddings": 512}, 512),
        ({"model_type": "bert", "max_position_embeddings": 512, "pad_token_id": 3}, 512),
        ({"n_positions": 1024}, 1024),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "xlm-roberta-xl", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514}, 512),
        ({"model_type": "longformer", "max_position_embeddings": 4098, "pad_token_id": 1}, 4096),
        ({"model_type": "mpnet", "max_position_embeddings": 514, "pad_token_id": 0}, 513),
        ({"max_position_embeddings": None}, None),
        ({}, None),
    ],
)
def test_positions_that_inputs_can_use(config: dict[str, object], length: int | None) -> None:
    """RoBERTa's family counts positions from behind the padding token's id, which is 1 where the config leaves it out."""
    assert usable_positions(config) == length
