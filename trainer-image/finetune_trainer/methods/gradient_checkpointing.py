"""Gradient checkpointing: a layer's inputs are kept, and its activations are computed again in the backward pass."""

from typing import Any

from finetune_trainer.failure import invalid


def enable_gradient_checkpointing(model: Any) -> None:
    """Raises StageFailure for a model that does not support it."""
    try:
        model.activation_checkpointing_enable({"use_reentrant": False})
    except ValueError as exc:
        raise invalid(
            "GradientCheckpointingUnsupported",
            f"hyperparameters.gradientCheckpointing: {type(model).__name__} does not support gradient checkpointing: set it to "
            "false, and lower maxSequenceLength where memory is short",
            param="hyperparameters.gradientCheckpointing",
        ) from exc
