"""Loads and saves a language model. Weights are read and written as safetensors only, and no remote code is run."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForCausalLM, GenerationConfig

from finetune_api.resources.learning import Precision
from finetune_trainer.failure import invalid
from finetune_trainer.language_model.head import head_of
from finetune_trainer.learner import dtype_of
from finetune_trainer.methods import TrainingMethod
from finetune_trainer.methods.gradient_checkpointing import enable_gradient_checkpointing
from finetune_trainer.workspace.prepared import Prepared


def load_model(folder: Path, precision: Precision, device: str) -> Any:
    """A causal language model in eval mode, its weights in `precision`."""
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype_of(precision), use_safetensors=True, local_files_only=True, trust_remote_code=False
    )
    return model.to(device).eval()


def load_base(prepared: Prepared, method: TrainingMethod) -> nn.Module:
    """The base in the method's training form. New weights depend on the seed alone."""
    hyper, base = prepared.hyperparameters, prepared.base_path
    try:
        model = AutoModelForCausalLM.from_pretrained(base, **method.loading(hyper.precision), local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, SafetensorError) as exc:
        raise invalid("BaseModelUnreadable", f"cannot load the base model from {base}: {exc}", param="base.source") from exc
    if head_of(model) is None:
        raise invalid("BaseModelWithoutHead", f"the base model {type(model).__name__} has no language model head", param="base.source")
    if hyper.gradient_checkpointing:
        enable_gradient_checkpointing(model, hyper.gradient_checkpointing_policy)
    torch.manual_seed(hyper.seed)
    return method.prepare(model, prepared.method, "CAUSAL_LM", [])  # type: ignore[no-any-return]


def save_model(model: Any, base: Path, end_tokens: list[int], folder: Path) -> None:
    """Writes a Hugging Face folder: config, safetensors, and the base's own generation config."""
    model.generation_config = GenerationConfig(eos_token_id=end_tokens)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    if (base / "generation_config.json").exists():
        copy_generation_config(base, end_tokens, folder)


def copy_generation_config(base: Path, end_tokens: list[int], folder: Path) -> None:
    """The base's own settings, with every token that ends an answer.

    A base model's list often lacks the token that its chat template ends a turn with: servers, which use this file,
    would generate past the end of the answer.
    """
    settings = json.loads((base / "generation_config.json").read_bytes())
    known = settings.get("eos_token_id")
    if not set(end_tokens) <= set(known if isinstance(known, list) else [known]):
        settings["eos_token_id"] = end_tokens
    (folder / "generation_config.json").write_text(json.dumps(settings, indent=2) + "\n")
