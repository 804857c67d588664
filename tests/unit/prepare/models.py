"""Models of known families as prepare sees them: config.json and shapes, without a weight."""

from typing import Any

from finetune_trainer.prepare.base.weights import Shapes, Weights


def llama(layers: int, hidden: int, heads: int, key_value_heads: int, intermediate: int, vocabulary: int) -> tuple[dict[str, Any], Weights]:
    """A Llama with its head apart, stored in bf16."""
    config = {
        "hidden_size": hidden, "intermediate_size": intermediate, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": key_value_heads, "vocab_size": vocabulary,
    }  # fmt: skip
    narrow = hidden // heads * key_value_heads
    shapes: Shapes = {
        "model.embed_tokens.weight": (vocabulary, hidden),
        "lm_head.weight": (vocabulary, hidden),
        "model.norm.weight": (hidden,),
    }
    for layer in range(layers):
        inside = {
            "self_attn.q_proj": (hidden, hidden), "self_attn.k_proj": (narrow, hidden), "self_attn.v_proj": (narrow, hidden),
            "self_attn.o_proj": (hidden, hidden), "mlp.gate_proj": (intermediate, hidden), "mlp.up_proj": (intermediate, hidden),
            "mlp.down_proj": (hidden, intermediate), "input_layernorm": (hidden,), "post_attention_layernorm": (hidden,),
        }  # fmt: skip
        shapes |= {f"model.layers.{layer}.{name}.weight": shape for name, shape in inside.items()}
    weights = Weights(shapes)
    return config, Weights(shapes, 2 * weights.parameters)


def mixture(*, fused: bool) -> tuple[dict[str, Any], Weights]:
    """A Llama whose layers have four experts; `fused`: stored as one tensor a layer, not apart."""
    config, dense = llama(4, 256, 4, 2, 512, 1000)
    shapes = {name: shape for name, shape in dense.shapes.items() if ".mlp." not in name}
    for layer in range(4):
        room = f"model.layers.{layer}.mlp"
        shapes[f"{room}.gate.weight"] = (4, 256)
        if fused:
            shapes |= {f"{room}.experts.gate_up_proj": (4, 2 * 512, 256), f"{room}.experts.down_proj": (4, 256, 512)}
        for expert in () if fused else range(4):
            inside = {"gate_proj": (512, 256), "up_proj": (512, 256), "down_proj": (256, 512)}
            shapes |= {f"{room}.experts.{expert}.{name}.weight": shape for name, shape in inside.items()}
    return config, Weights(shapes, 2 * Weights(shapes).parameters)


def bert(layers: int, hidden: int, heads: int, intermediate: int, vocabulary: int) -> tuple[dict[str, Any], Weights]:
    """A BERT, stored in fp32."""
    config = {
        "model_type": "bert", "hidden_size": hidden, "intermediate_size": intermediate, "num_hidden_layers": layers,
        "num_attention_heads": heads, "vocab_size": vocabulary, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
    }  # fmt: skip
    shapes: Shapes = {"embeddings.word_embeddings.weight": (vocabulary, hidden), "pooler.dense.weight": (hidden, hidden)}
    for layer in range(layers):
        inside = {
            "attention.self.query": (hidden, hidden), "attention.self.key": (hidden, hidden), "attention.self.value": (hidden, hidden),
            "attention.output.dense": (hidden, hidden), "attention.output.LayerNorm": (hidden,),
            "intermediate.dense": (intermediate, hidden), "output.dense": (hidden, intermediate), "output.LayerNorm": (hidden,),
        }  # fmt: skip
        for name, shape in inside.items():
            shapes |= {f"encoder.layer.{layer}.{name}.weight": shape, f"encoder.layer.{layer}.{name}.bias": (shape[0],)}
    return config, Weights(shapes, 4 * Weights(shapes).parameters)


def albert(layers: int, hidden: int, heads: int, intermediate: int, vocabulary: int) -> tuple[dict[str, Any], Weights]:
    """An ALBERT: the weights of one BERT layer, gone through again and again."""
    config, weights = bert(1, hidden, heads, intermediate, vocabulary)
    return config | {"model_type": "albert", "architectures": ["AlbertModel"], "num_hidden_layers": layers}, weights


LLAMA_8B = llama(32, 4096, 32, 8, 14336, 128256)
SMALL = llama(30, 576, 9, 3, 1536, 49152)
ALBERT = albert(12, 768, 12, 3072, 30000)
MINILM = bert(6, 384, 12, 1536, 30522)
