"""Gradient checkpointing: a layer's inputs are kept, and its activations are computed again in the backward pass.

With policy selective the results of the expensive operations are kept as well (attention, and matrix products but for the small ones of
adapters), so that only what is cheap is computed again: norms, activation functions, casts.
"""

from functools import partial
from typing import Any

from finetune_api.resources.learning import CheckpointingPolicy
from finetune_trainer.failure import invalid

SMALL = 256
"""A product of matrices over a smaller inner dimension is cheap for the size of its result: that of an adapter of this rank."""
PRODUCTS = ("mm", "addmm")
ATTENTION = (
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    "bmm",
)
"""torch's operations for attention; the plain one is made of products of batches of matrices."""


def enable_gradient_checkpointing(model: Any, policy: CheckpointingPolicy = "full") -> None:
    """Raises StageFailure for a model that does not support it."""
    try:
        model.activation_checkpointing_enable({"use_reentrant": False, **contexts(policy)})
    except ValueError as exc:
        raise invalid(
            "GradientCheckpointingUnsupported",
            f"hyperparameters.gradientCheckpointing: {type(model).__name__} does not support gradient checkpointing: set it to "
            "false, and lower maxSequenceLength where memory is short",
            param="hyperparameters.gradientCheckpointing",
        ) from exc


def contexts(policy: CheckpointingPolicy) -> dict[str, Any]:
    """Arguments of torch.utils.checkpoint.checkpoint."""
    from torch.utils.checkpoint import create_selective_checkpoint_contexts

    return {"context_fn": partial(create_selective_checkpoint_contexts, what_to_keep)} if policy == "selective" else {}


def what_to_keep(_: Any, operation: Any, *inputs: Any, **__: Any) -> Any:
    """torch's CheckpointPolicy for the result of an operation."""
    from torch.utils.checkpoint import CheckpointPolicy

    name = operation.overloadpacket.__name__
    kept = name in ATTENTION or (name in PRODUCTS and inputs[-1].shape[0] >= SMALL)
    return CheckpointPolicy.MUST_SAVE if kept else CheckpointPolicy.PREFER_RECOMPUTE
