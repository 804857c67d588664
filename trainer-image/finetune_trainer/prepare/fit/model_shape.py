"""What the memory of a model depends on, out of its config.json and its tensors' shapes. Knows no training.

The families write their configs differently; where a key is missing, the shapes tell it. What neither tells (a layer of an unknown
kind) is taken for an ordinary transformer layer.
"""

import math
import re
from dataclasses import dataclass
from typing import Any

from finetune_trainer.prepare.base.weights import Weights

_NORM = re.compile(r"(norm|ln_\w+|layernorm)[^.]*\.weight$", re.IGNORECASE)
_LAYER = re.compile(r"\.\d+\.")
_ATTENTION_OUT = re.compile(r"(o_proj|out_proj|attention\.output\.dense|attn\.c_proj|wo|out_lin)$")


@dataclass(frozen=True)
class ModelShape:
    """Numbers of one layer are those of an average one."""

    layers: int
    stored_layers: int
    """Layers that have weights of their own: ALBERT goes through the same ones again."""
    hidden: int
    heads: int
    query: int
    """Width of all query heads together."""
    intermediate: int
    """Width of the feed-forward part; of a mixture of experts, of those that a token goes through."""
    gated: bool
    """Three feed-forward matrices instead of two."""
    norms: int
    """Values of a token that a layer's norms take in."""
    rms: bool
    """Norms without a mean, computed step by step."""
    vocabulary: int
    largest: int
    """Parameters of the largest tensor."""
    outside: int
    """Parameters outside the layers: embeddings, head."""
    inputs: int
    """Values of a token that go into a layer's matrices, each counted by itself."""
    attention_out: int
    """Those of them that go into the matrix behind the attention."""
    hidden_dropout: bool
    attention_dropout: bool


def model_shape(config: dict[str, Any], weights: Weights) -> ModelShape:
    """The shape of a base model."""
    inner = config.get("text_config")
    said: dict[str, Any] = inner if isinstance(inner, dict) else config
    linear = weights.linear_layers
    named = len({layer_of(name) for name in linear})
    layers = number(said, "num_hidden_layers", "n_layer", "n_layers", "num_layers") or max(1, named)
    stored = min(named, layers) or layers
    hidden = number(said, "hidden_size", "n_embd", "d_model", "dim") or max((inputs for _, inputs in linear.values()), default=1)
    heads = number(said, "num_attention_heads", "n_head", "n_heads") or max(1, hidden // 64)
    key_values = number(said, "num_key_value_heads") or heads
    head = number(said, "head_dim") or hidden // heads
    norms = [(name, shape[0]) for name, shape in weights.shapes.items() if len(shape) == 1 and _LAYER.search(name) and _NORM.search(name)]
    widths = [heads * head if "q_norm" in name else key_values * head if "k_norm" in name else width for name, width in norms]
    return ModelShape(
        layers=layers,
        stored_layers=stored,
        hidden=hidden,
        heads=heads,
        query=heads * head,
        intermediate=intermediate(said, hidden),
        gated=any(re.search(r"(gate_proj|gate_up_proj|\.w3)$", name) for name in linear),
        norms=sum(widths) // stored or 2 * hidden,
        rms=not any(name.removesuffix("weight") + "bias" in weights.shapes for name, _ in norms),
        vocabulary=number(said, "vocab_size") or 1,
        largest=max(map(math.prod, weights.shapes.values()), default=0),
        outside=sum(math.prod(shape) for name, shape in weights.shapes.items() if not _LAYER.search(name)),
        inputs=sum(inputs for name, (_, inputs) in linear.items() if "experts" not in name) // stored,
        attention_out=sum(inputs for name, (_, inputs) in linear.items() if _ATTENTION_OUT.search(name)) // stored,
        hidden_dropout=positive(said, "hidden_dropout_prob", "resid_pdrop", "dropout"),
        attention_dropout=positive(said, "attention_probs_dropout_prob", "attention_dropout", "attn_pdrop"),
    )


def intermediate(said: dict[str, Any], hidden: int) -> int:
    """Of the experts that a token goes through together, where there are experts."""
    dense = number(said, "intermediate_size", "n_inner", "ffn_dim", "hidden_dim") or 4 * hidden
    chosen = number(said, "num_experts_per_tok", "num_experts_per_token")
    return dense if chosen is None else chosen * (number(said, "moe_intermediate_size") or dense)


def number(said: dict[str, Any], *names: str) -> int | None:
    """The first of these that is a positive integer."""
    return next((value for name in names if isinstance(value := said.get(name), int) and value > 0), None)


def positive(said: dict[str, Any], *names: str) -> bool:
    """True when one of these shares is above zero."""
    return any(isinstance(value := said.get(name), int | float) and value > 0 for name in names)


def layer_of(name: str) -> str:
    """ "model.layers.3.mlp.up_proj" -> "model.layers.3"."""
    found = _LAYER.search(f"{name}.")
    return name[: found.end() - 1] if found else ""
