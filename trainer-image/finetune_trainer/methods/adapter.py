"""What of a model is trained, and what of its forward pass is kept. Knows no task."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from finetune_api.resources.learning import Lora
from finetune_trainer.failure import invalid

ALL = ["all-linear"]
MAMBA = ("falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h")
"""Model types of which PEFT refuses out_proj."""


def add_adapter(model: nn.Module, lora: Lora, task_type: str, whole: list[str] | None = None) -> nn.Module:
    """Wraps the model into PEFT's: the adapter is trained, and the modules in `whole` with all of their weights.

    `task_type` is PEFT's: CAUSAL_LM, SEQ_CLS, TOKEN_CLS. Rank and alpha must be decided.
    """
    from peft import LoraConfig, get_peft_model
    from transformers.pytorch_utils import Conv1D

    assert lora.rank is not None and lora.alpha is not None  # by prepare
    alpha: Any = int(lora.alpha) if float(lora.alpha).is_integer() else lora.alpha  # most readers of adapters expect an int
    config = LoraConfig(
        task_type=task_type,
        r=lora.rank,
        lora_alpha=alpha,
        lora_dropout=lora.dropout,
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),  # GPT-2 holds its matrices transposed
        target_modules="all-linear" if lora.target_modules == ALL else list(lora.target_modules),
        exclude_modules=left_alone(model) or None if lora.target_modules == ALL else None,
        modules_to_save=list(whole) if whole else None,  # PEFT adds to it
    )
    try:
        return get_peft_model(model, config)
    except ValueError as exc:
        raise invalid(
            "UnknownTargetModules",
            f"method.lora.targetModules {lora.target_modules} do not fit the base model: {exc}",
            param="method.lora.targetModules",
        ) from exc


def left_alone(model: Any) -> list[str]:
    """Linear layers without an adapter although the spec says all-linear: those that compute something else than a product (routers that
    answer with several tensors), and those of Mamba whose weights the kernel reads directly."""
    linear = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    mamba = model.config.model_type in MAMBA
    return [name for name, module in linear if not _is_product(module) or (mamba and name.endswith("out_proj"))]


def _is_product(module: nn.Linear) -> bool:
    """Whether its forward pass is nn.Linear's, inherited or written again (Falcon)."""
    if type(module).forward is nn.Linear.forward:
        return True
    some = torch.ones(1, module.in_features, dtype=module.weight.dtype, device=module.weight.device)
    try:
        with torch.no_grad():
            answer = module(some)
    except (TypeError, RuntimeError, ValueError):  # it takes more than one tensor, or another shape
        return False
    return (
        isinstance(answer, torch.Tensor)
        and answer.shape == (1, module.out_features)
        and torch.allclose(answer, F.linear(some, module.weight, module.bias), atol=1e-2)
    )


def recompute_activations(model: Any) -> None:
    """Gradient checkpointing: each layer's inputs are kept, and what is inside is computed again in the backward pass."""
    try:
        model.activation_checkpointing_enable({"use_reentrant": False})
    except ValueError as exc:
        raise invalid(
            "GradientCheckpointingUnsupported",
            f"hyperparameters.gradientCheckpointing: {type(model).__name__} does not support gradient checkpointing: set it to "
            "false, and lower maxSequenceLength where memory is short",
            param="hyperparameters.gradientCheckpointing",
        ) from exc
