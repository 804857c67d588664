"""A small copy of a model, from its config.json: what decides whether it can be exported stays, what only makes it large goes.

Kept: the class, head size, rotary settings, norms, activation, multipliers, soft caps, window attention, one layer of every kind (at
least two), grouped or not. Made small: layers, heads, width, vocabulary, experts, positions, the window.
"""

from typing import Any

import torch
from torch import nn

LAYERS, VOCABULARY, POSITIONS, WINDOW, WIDTH, EXPERTS, CHOSEN, HEADS = 2, 499, 256, 16, 128, 4, 2, 4
"""Of the copy, at most. The builder tells the head by its number of outputs: no other matrix may have as many as the vocabulary."""
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_HEADS = ("num_attention_heads", "n_head", "n_heads")
_WIDTHS = ("hidden_size", "n_embd", "d_model", "dim")
_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx")
AT_MOST: dict[str, int] = {
    "vocab_size": VOCABULARY,
    "num_key_value_heads": 2,
    **dict.fromkeys(("sliding_window", "local_attention", "attention_window"), WINDOW),
    **dict.fromkeys(("intermediate_size", "n_inner", "ffn_dim", "hidden_dim", "shared_intermediate_size"), 2 * WIDTH),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), WIDTH),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), EXPERTS),
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token"), CHOSEN),
    "embedding_size": WIDTH,
}
"""Sizes that are independent of each other."""


def shrunk(config: Any) -> Any:
    """A small configuration of the same class. Raises what transformers raises where the sizes do not fit each other any more."""
    values: dict[str, Any] = config.to_dict()
    chosen = layers_kept(values)
    small: dict[str, Any] = {key: [values[key][layer] for layer in chosen] for key in per_layer(values)}
    small |= {name: len(chosen) for name in _LAYERS if name in values}
    small |= {name: min(values[name], most) for name, most in AT_MOST.items() if isinstance(values.get(name), int)}
    small |= heads_and_width(values) | positions(values) | tokens(values, small.get("vocab_size", VOCABULARY))
    return type(config).from_dict(values | small)


def layers_of(values: dict[str, Any]) -> int:
    """How many layers the model has."""
    return next((values[name] for name in _LAYERS if isinstance(values.get(name), int)), LAYERS)


def layers_kept(values: dict[str, Any]) -> list[int]:
    """The first layer of every kind, and the first ones as long as they are fewer than two."""
    kinds = values.get("layer_types") or []
    firsts = {kinds.index(kind) for kind in kinds}
    for layer in range(layers_of(values)):
        if len(firsts) >= LAYERS:
            break
        firsts.add(layer)
    return sorted(firsts)


def per_layer(values: dict[str, Any]) -> list[str]:
    """Lists with an entry for each layer."""
    count = layers_of(values)
    return [name for name, value in values.items() if isinstance(value, list) and len(value) == count and count > LAYERS]


def heads_and_width(values: dict[str, Any]) -> dict[str, Any]:
    """Fewer heads of the same size; the width follows them."""
    head_name = next((name for name in _HEADS if isinstance(values.get(name), int)), None)
    width_name = next((name for name in _WIDTHS if isinstance(values.get(name), int)), None)
    if head_name is None or width_name is None:
        return {}
    heads, width = values[head_name], values[width_name]
    size = values.get("head_dim") or width // heads
    kept = min(heads, HEADS)
    follow = {name: kept * size for name in (width_name, "embedding_size", "pooler_hidden_size") if values.get(name) == width}
    grouped = values.get("num_key_value_heads")
    if isinstance(grouped, int) and grouped == heads:
        return {head_name: kept, "num_key_value_heads": kept} | follow
    return {head_name: kept} | follow


def positions(values: dict[str, Any]) -> dict[str, Any]:
    """Fewer positions, unless the rotary settings depend on their number."""
    rotary = values.get("rope_parameters") or {}
    if "original_max_position_embeddings" in rotary or "original_max_position_embeddings" in values:
        return {}
    return {name: min(values[name], POSITIONS) for name in _POSITIONS if isinstance(values.get(name), int)}


def tokens(values: dict[str, Any], vocabulary: int) -> dict[str, Any]:
    """Special tokens inside the small vocabulary."""
    found = {name: value for name, value in values.items() if name.endswith("_token_id")}
    return {name: inside(value, vocabulary) for name, value in found.items()}


def inside(value: Any, vocabulary: int) -> Any:
    """A token, or several, of a smaller vocabulary."""
    if isinstance(value, list):
        return [inside(one, vocabulary) for one in value]
    return value % vocabulary if isinstance(value, int) else value


@torch.no_grad()
def enliven(model: nn.Module) -> None:
    """Draws random weights under which every part of the model shows in its logits: matrices that keep the size of what goes through
    them, norms around one, biases around zero.

    Freshly made models have weights so small, biases of zero and norms of one, that an export could leave any of them out and
    still agree.
    """
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            parameter.normal_(std=parameter.shape[-1] ** -0.5)
        elif name.endswith("bias"):
            parameter.normal_(std=0.1)
        else:
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
