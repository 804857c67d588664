"""Loads and saves model weights. Weights are read and written as safetensors only, and no remote code is run."""

import gc
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, GenerationConfig

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


def load_model(folder: Path, precision: str, device: str) -> Any:
    """A causal language model in eval mode, its weights in `precision` (bf16 or fp32)."""
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=DTYPES[precision], use_safetensors=True, local_files_only=True, trust_remote_code=False
    )
    return model.to(device).eval()


def save_model(model: Any, base: Path, end_tokens: list[int], folder: Path) -> None:
    """Writes a language model as a Hugging Face folder: config, safetensors, and the base's own generation config."""
    model.generation_config = GenerationConfig(eos_token_id=end_tokens)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    if (base / "generation_config.json").exists():
        copy_generation_config(base, end_tokens, folder)


def copy_generation_config(base: Path, end_tokens: list[int], folder: Path) -> None:
    """The base's own settings, with every token that ends an answer.

    A base model's list often lacks the one that its chat template ends a turn with: servers, which go by this file,
    would talk on after the answer.
    """
    settings = json.loads((base / "generation_config.json").read_bytes())
    known = settings.get("eos_token_id")
    if not set(end_tokens) <= set(known if isinstance(known, list) else [known]):
        settings["eos_token_id"] = end_tokens
    (folder / "generation_config.json").write_text(json.dumps(settings, indent=2) + "\n")


def copy_adapter(adapter: Path, base_name: str, folder: Path) -> None:
    """Copies an adapter; its config names the base as the user wrote it, not a path inside a pod."""
    folder.mkdir(parents=True)
    shutil.copyfile(adapter / "adapter_model.safetensors", folder / "adapter_model.safetensors")
    config = json.loads((adapter / "adapter_config.json").read_bytes())
    config["base_model_name_or_path"] = base_name
    for name in ("target_modules", "modules_to_save"):
        if isinstance(config.get(name), list):  # PEFT writes sets, in another order each time
            config[name] = sorted(set(config[name]))
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True))


def release_memory() -> None:
    """Models hold cycles; the next phase needs their memory."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
