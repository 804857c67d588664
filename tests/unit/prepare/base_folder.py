"""A model folder in Hugging Face layout that takes no time to make: a byte-level tokenizer, weights of zeros."""

import json
import math
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from tests.unit.data.tokens import templates

SHAPES = {
    "model.embed_tokens.weight": (300, 8),
    "model.layers.0.self_attn.q_proj.weight": (8, 8),
    "model.layers.0.mlp.down_proj.weight": (8, 16),
    "model.layers.0.input_layernorm.weight": (8,),
}
PARAMETERS = sum(math.prod(shape) for shape in SHAPES.values())


def make_base(folder: Path) -> Path:
    """Writes the folder and returns it."""
    folder.mkdir(parents=True)
    write_json(
        folder / "config.json",
        {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": 300,
            "max_position_embeddings": 512,
            "eos_token_id": 1,
        },
    )
    write_json(folder / "generation_config.json", {"eos_token_id": [1]})
    write_json(folder / "tokenizer_config.json", {"eos_token": "<|im_end|>", "bos_token": None})
    (folder / "chat_template.jinja").write_text(templates.CHATML)
    (folder / "tokenizer.json").write_text(byte_tokenizer().to_str())
    write_weights(folder / "model.safetensors", SHAPES)
    return folder


def byte_tokenizer() -> Tokenizer:
    """A token a byte, and ChatML's markers."""
    vocabulary = {"<|im_start|>": 0, "<|im_end|>": 1} | {char: index + 2 for index, char in enumerate(sorted(ByteLevel.alphabet()))}
    tokenizer = Tokenizer(BPE(vocabulary, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    tokenizer.add_special_tokens([AddedToken(marker, special=True) for marker in ("<|im_start|>", "<|im_end|>")])
    return tokenizer


def write_weights(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """A safetensors file of bf16 zeros."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(end))


def write_json(path: Path, value: Any) -> None:
    """A JSON file."""
    path.write_text(json.dumps(value))


def change_json(path: Path, **values: Any) -> None:
    """Sets keys of a JSON file; None takes one away."""
    content = json.loads(path.read_text()) | values
    write_json(path, {key: value for key, value in content.items() if value is not None})
