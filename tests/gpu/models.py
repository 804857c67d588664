"""Random models of a given size as Hugging Face folders, without a tokenizer: train needs none."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    BertConfig,
    BertModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
)


@dataclass(frozen=True)
class Size:
    """Of a decoder with heads of 64 values, four of them for each key and value."""

    hidden: int
    intermediate: int
    layers: int
    vocabulary: int = 32_000


SMALL = Size(1024, 2816, 8)
LARGE = Size(1536, 4096, 16)


def random_llama(folder: Path, size: Size) -> Path:
    """With grouped query attention and tied embeddings; the same weights every time."""
    return saved(folder, LlamaForCausalLM, LlamaConfig(**shape(size)))


def random_mistral(folder: Path, size: Size, window: int) -> Path:
    """The same with sliding window attention."""
    return saved(folder, MistralForCausalLM, MistralConfig(**shape(size), sliding_window=window))


def random_bert(folder: Path, size: Size) -> Path:
    """An encoder without dropout, for rows with one or two texts."""
    sizes = {name: value for name, value in shape(size).items() if name not in ("num_key_value_heads", "tie_word_embeddings")}
    return saved(folder, BertModel, BertConfig(**sizes, type_vocab_size=2, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))


def shape(size: Size) -> dict[str, Any]:
    """As a configuration names it."""
    heads = size.hidden // 64
    return {
        "vocab_size": size.vocabulary,
        "hidden_size": size.hidden,
        "intermediate_size": size.intermediate,
        "num_hidden_layers": size.layers,
        "num_attention_heads": heads,
        "num_key_value_heads": max(1, heads // 4),
        "max_position_embeddings": 4096,
        "tie_word_embeddings": True,
    }


def saved(folder: Path, kind: type[PreTrainedModel], config: PreTrainedConfig) -> Path:
    """The folder of a new model."""
    torch.manual_seed(3)
    kind(config).save_pretrained(folder)
    return folder
