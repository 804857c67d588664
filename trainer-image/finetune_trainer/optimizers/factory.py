"""The interface of an optimizer, an entry of the registry OPTIMIZERS.

prepare asks for sizes and defaults and runs without torch, so an optimizer imports torch and other libraries inside `make`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

Group = dict[str, Any]
"""A parameter group of torch's: "params" and "weight_decay"."""


@dataclass(frozen=True)
class TrainedParameters:
    """Numbers of parameters that a training changes."""

    total: int
    matrices: int
    """In the matrices of the repeated layers, without the experts of a mixture, which transformers holds as one tensor of three
    dimensions."""
    embeddings: int
    factors: int
    """Rows and columns of all matrices, and the vectors: what is left of them when each matrix becomes a row and a column."""


class OptimizerFactory(Protocol):
    """Makes an optimizer, and says what it costs."""

    name: str
    """As specs write it: hyperparameters.optimizer."""
    title: str
    """For messages: "AdamW"."""
    needs_bitsandbytes: bool
    divisible: bool
    """It can update a part of a tensor, so that strategies which divide weights among the ranks can use it."""
    learning_rate_scale: float
    """Factor on the automatic learning rate, which is that of AdamW."""
    weight_decay_scale: float
    """Factor on the automatic weight decay."""

    def state_bytes(self, trained: TrainedParameters) -> int:
        """Bytes of what is kept from step to step, in memory and in a checkpoint."""

    def temporaries(self, *, cpu: bool) -> float:
        """Bytes for a parameter of the largest tensor that an update needs for a moment."""

    def make(self, groups: list[Group], model: "nn.Module", learning_rate: float) -> "Optimizer":
        """The optimizer of these groups of the model's parameters, on the device where they are."""
