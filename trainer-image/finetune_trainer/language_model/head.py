"""Logits at the supervised positions, and their loss: logits are the largest thing in a forward pass."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from finetune_trainer.language_model.batch import TokenBatch


def head_of(model: Any) -> nn.Module | None:
    """The layer that makes logits, of a model with or without an adapter."""
    head: nn.Module | None = model.get_output_embeddings()
    return head


class SupervisedHead:
    """Shows a model's head the supervised positions only."""

    def __init__(self, model: nn.Module) -> None:
        """`model` is what a wrapper (DDP) goes around later."""
        head = head_of(model)
        assert head is not None  # model.load_base refuses others
        self._head = head

    def logits(self, model: nn.Module, batch: TokenBatch) -> torch.Tensor:
        """(S, vocabulary), in the model's own precision.

        Packed rows have no attention mask, and no batch a cache: with either of them transformers lets packed examples see each other.
        """

        def select(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            return (inputs[0].flatten(0, 1)[batch.keep], *inputs[1:])

        hook = self._head.register_forward_pre_hook(select)
        try:
            logits: torch.Tensor = model(**batch.inputs, use_cache=False).logits
        finally:
            hook.remove()
        return logits


def loss_sum(logits: torch.Tensor, targets: torch.Tensor, smoothing: float = 0) -> torch.Tensor:
    """Sum of the token losses (nats), a scalar in fp32; 0 with a gradient of zeros where there is no target. `smoothing` is the share of
    the probability that is spread over the vocabulary."""
    return F.cross_entropy(logits.float(), targets, label_smoothing=smoothing, reduction="sum")
