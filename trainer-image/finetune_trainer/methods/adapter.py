"""What of a model is trained, and what of its forward pass is kept. Knows no task."""

from typing import Any

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
    """Linear layers without an adapter though the spec says all-linear: those that compute more than a product (routers that answer
    with several tensors), and those of Mamba's that its kernel reads past the layer."""
    linear = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    mamba = model.config.model_type in MAMBA
    return [name for name, module in linear if type(module).forward is not nn.Linear.forward or (mamba and name.endswith("out_proj"))]


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
