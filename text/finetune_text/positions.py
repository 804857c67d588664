"""How long a classifier's input may be, by its config.json.

A tokenizer's model_max_length is not asked: it is often about another use of the same tokenizer.
"""

from collections.abc import Mapping
from typing import Any

POSITIONS_AFTER_PADDING = frozenset(
    {
        "camembert",
        "data2vec-text",
        "ibert",
        "longformer",
        "mpnet",
        "roberta",
        "roberta-prelayernorm",
        "xlm-roberta",
        "xlm-roberta-xl",
        "xmod",
    }
)
"""Model types whose positions are counted from pad_token_id + 1 on, so that as many of max_position_embeddings are never used."""
PADDING = 1
"""Their pad_token_id where the config leaves it out."""


def usable_positions(config: Mapping[str, Any]) -> int | None:
    """Tokens that a model has positions for; None where its config does not say."""
    positions = config.get("max_position_embeddings", config.get("n_positions"))
    if not isinstance(positions, int) or positions <= 0:
        return None
    if config.get("model_type") not in POSITIONS_AFTER_PADDING:
        return positions
    return positions - int(config.get("pad_token_id", PADDING) or 0) - 1
