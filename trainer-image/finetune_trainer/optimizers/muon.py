"""Muon (Jordan et al. 2024): the momentum of a matrix is orthogonalized, so that a step moves all of its directions alike.

For the matrices of the repeated layers and for adapters, by torch.optim.Muon; embeddings, heads, vectors (IA3's factors) and the
experts of a mixture (one tensor of three dimensions) are trained by AdamW. Steps are scaled to the size of AdamW's (Liu et al. 2025,
"Muon is scalable for LLM training"), so that its learning rate and weight decay serve both.
"""

from typing import TYPE_CHECKING

from finetune_trainer.layers import layers
from finetune_trainer.methods.method import FP32
from finetune_trainer.optimizers.adamw import ADAMW, MOMENTS
from finetune_trainer.optimizers.factory import Group, TrainedParameters

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


class Muon:
    """An OptimizerFactory."""

    name = "muon"
    title = "Muon"
    needs_bitsandbytes = False
    divisible = False
    learning_rate_scale = 1.0
    weight_decay_scale = 1.0

    def state_bytes(self, trained: TrainedParameters) -> int:
        return FP32 * trained.matrices + MOMENTS * (trained.total - trained.matrices)

    def temporaries(self, *, cpu: bool) -> float:
        return FP32 + 3 * 2  # the momentum looking ahead, and the orthogonalization in bf16

    def make(self, groups: list[Group], model: "nn.Module", learning_rate: float) -> "Optimizer":
        from torch.optim import Muon as Orthogonalized

        from finetune_trainer.optimizers.parts import Parts

        inner = {id(parameter) for layer in layers(model) for parameter in layer.parameters() if is_matrix(parameter)}
        matrices = [of(group, inner, wanted=True) for group in groups]
        others = [of(group, inner, wanted=False) for group in groups]
        parts: list[Optimizer] = []
        if any(group["params"] for group in matrices):
            parts.append(Orthogonalized(matrices, lr=learning_rate, adjust_lr_fn="match_rms_adamw"))
        if any(group["params"] for group in others):
            parts.append(ADAMW.make(others, model, learning_rate))
        return Parts(parts)


def is_matrix(parameter: "nn.Parameter") -> bool:
    """Not the vectors that PEFT keeps as matrices of one row or column."""
    return parameter.ndim == 2 and min(parameter.shape) > 1


def of(group: Group, inner: set[int], *, wanted: bool) -> Group:
    """The group with those of its parameters alone that are in `inner`, or with the others."""
    return group | {"params": [parameter for parameter in group["params"] if (id(parameter) in inner) == wanted]}


MUON = Muon()
