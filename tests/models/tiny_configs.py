"""The configuration of a tiny model of any family: two layers or one of each kind, narrow, with few tokens, experts and positions."""

from typing import Any

from transformers.models.auto.configuration_auto import CONFIG_MAPPING

VOCABULARY = 300
SMALL: dict[str, Any] = {
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 2),
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "dim", "embedding_size"), 128),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads"), 4),
    "num_key_value_heads": 2,
    "head_dim": 32,
    **dict.fromkeys(("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "shared_intermediate_size", "hidden_dim"), 160),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "expert_ffn_hidden_size"), 48),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token"), 2),
    "n_shared_experts": 1,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "q_lora_rank": 32,
    "kv_lora_rank": 32,
    "qk_rope_head_dim": 32,
    "qk_nope_head_dim": 32,
    "v_head_dim": 32,
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx"), 256),
    **dict.fromkeys(("mamba_d_state", "state_size", "ssm_state_size", "mamba_chunk_size", "chunk_size"), 16),
    "mamba_n_heads": 8,
    "mamba_d_ssm": 256,
    "mamba_d_head": 32,
    "mamba_num_heads": 8,
    "mamba_head_dim": 32,
    "n_groups": 1,
    "index_topk": 16,
    "index_head_dim": 32,
    "index_n_heads": 4,
    "shared_experts_intermediate_size": 48,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 32,
    "linear_value_head_dim": 32,
    "vocab_size": VOCABULARY,
    "sliding_window": 32,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}
"""What the families call their sizes, and how large they are here. Heads of 32 leave rotary parts of 16 where half of a head turns."""
SAME_HEADS = {"num_key_value_heads": 4}
"""Of a latent attention."""
MIXED = {"layers_block_type": ["linear_attention", "hybrid"] * 2, "num_hidden_layers": 4}
"""The hybrid layers share their weights, so there are two."""
TURNING = {"rope_type": "default", "rope_theta": 10_000.0}
SPECIAL: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("axk1", "axk2", "deepseek_v2", "deepseek_v3", "deepseek_v32", "dots3_note_text", "glm4_moe_lite"), SAME_HEADS),
    **dict.fromkeys(("glm_moe_dsa", "longcat_flash", "minicpm3", "youtu"), SAME_HEADS),
    "codegen": {"rotary_dim": 16},
    "gptj": {"rotary_dim": 16},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 32},
    "mamba2": {"num_heads": 8, "head_dim": 32},
    **dict.fromkeys(("bailing_hybrid", "kimi_linear"), SAME_HEADS),
    "phi3": {"original_max_position_embeddings": 256},
    "phimoe": {"original_max_position_embeddings": 256},
    "bamba": {"attn_layer_indices": [1]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "granitemoehybrid": {"layer_types": ["full_attention"] * 2, "num_local_experts": 0},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "gemma3n_text": {"num_kv_shared_layers": 0, "vocab_size_per_layer_input": VOCABULARY, "hidden_size_per_layer_input": 16},
    "gemma4_text": {"num_kv_shared_layers": 0, "vocab_size_per_layer_input": VOCABULARY, "hidden_size_per_layer_input": 16},
    "cohere_compass_text": {"rope_parameters": {"full_attention": TURNING, "sliding_attention": TURNING}},
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "rope_theta": 10_000.0, "clip_qkv": 8.0},
        "ffn_config": {"ffn_hidden_size": 64, "moe_num_experts": 4, "moe_top_k": 2},
    },
    **dict.fromkeys(("zamba", "zamba2"), MIXED),
    "zaya": {"num_experts_per_tok": 1},
}
"""What some families need besides."""


def tiny_config(model_type: str) -> Any:
    """A transformers configuration of that model type."""
    family = CONFIG_MAPPING[model_type]
    default = family()
    known = default.to_dict()
    names = {*known, *getattr(family, "attribute_map", {})}
    optional = {name for name in ("sliding_window", "q_lora_rank", "n_inner") if known.get(name, 0) is None}
    sizes = {name: value for name, value in SMALL.items() if name in names - optional}
    return family(**sizes | kinds_of_layers(known) | SPECIAL.get(model_type, {}))


def kinds_of_layers(known: dict[str, Any]) -> dict[str, Any]:
    """A layer of each kind, two of an only one."""
    kinds = list(dict.fromkeys(known.get("layer_types") or []))
    layers = kinds if len(kinds) > 1 else kinds * 2
    return {"layer_types": layers, "num_hidden_layers": len(layers)} if layers else {}
