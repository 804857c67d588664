"""The interface of a distributed training strategy, an entry of the registry STRATEGIES.

prepare asks for sizes and runs without torch, so a strategy imports torch and Accelerate inside the functions that train calls.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from finetune_api.run_config import RunMethod, RunStrategy
from finetune_trainer.methods import TrainingMethod
from finetune_trainer.methods.qlora import quantization_of
from finetune_trainer.workspace.prepared import Prepared

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from finetune_trainer.distributed.world import World


@dataclass(frozen=True)
class StateBytes:
    """Bytes of what lives as long as the training."""

    weights: int
    gradients: int
    optimizer: int
    host: int = 0
    """What is kept in the host's memory, where that is not the one which is estimated."""


@dataclass(frozen=True)
class ModelBytes:
    """A model's state before it is spread over ranks, and the parts that a strategy which gathers weights gathers at a time."""

    state: StateBytes
    computed: int
    """Of all weights, in the precision of the computation."""
    layer: int
    """Of one layer's weights, in the precision of the computation."""
    outside: int
    """Of the weights outside the layers (embeddings, head), in the precision of the computation."""
    layer_gradients: int
    """Of the gradients of the largest part, before they are reduced, with a copy in fp32."""
    undivided_bytes: int = 0
    """Of the base's weights, those that every rank holds where weights are divided."""
    undivided: float = 0.0
    """Share of the base's parameters that strategy tensor-parallel leaves whole on each rank."""


def cannot_be_divided(method: TrainingMethod, settings: RunMethod) -> str:
    """Why ranks cannot gather a layer's weights from the parts that they hold, "" if they can."""
    if method.quantized and quantization_of(settings) == "int8":
        return "the layers of int8 keep their whole weights at hand, so that only those of method.qlora.quantization nf4 can be divided"
    return ""


class Strategy(Protocol):
    """How a model is trained by several processes."""

    name: str
    """As run configs write it: strategy.type."""
    autocast: bool
    """Trained fp32 weights are cast to the run's precision by autocast, which keeps all copies for the backward pass."""
    scales_loss: bool
    """It can train with precision fp16: what `norm` and `clip` see is the gradient of a scaled loss."""
    divides: bool
    """A rank holds and updates parts of tensors, and writes them to checkpoints. Otherwise a checkpoint's folder has the files of
    TrainingMethod.save."""
    language_only: bool
    """It trains no encoders."""

    def obstacle(self, method: TrainingMethod, settings: RunMethod) -> str:
        """Why it cannot train by a method with these settings, "" if it can."""

    def model_parallel(self, settings: RunStrategy) -> int:
        """Consecutive ranks that compute the same micro-batches together; 1 if every rank has its own."""

    def bytes_per_rank(self, model: ModelBytes, processes: int, settings: RunStrategy) -> StateBytes:
        """What one of `processes` ranks holds of the whole model's state."""

    def open(self, world: "World", method: TrainingMethod, prepared: Prepared) -> "DistributedModel":
        """The strategy at work on this rank. `prepared` has the precision and the strategy's settings."""


class DistributedModel(Protocol):
    """One rank's part of a training. Every rank calls the same methods in the same order; most of them are collective."""

    def accelerator_arguments(self) -> dict[str, Any]:
        """Arguments of Accelerate's Accelerator, beside transformers.Trainer's own."""

    def load(self, load: "Callable[[], nn.Module]", checkpoint: Path | None) -> "nn.Module":
        """Places the model on this rank: `load` makes it on the CPU, in training form. What `save` wrote to a checkpoint may be loaded
        here or in `restore`; a run without steps left calls this method only."""

    def wrap(self, accelerator: "Accelerator", optimizer_of: "Callable[[], Optimizer]") -> "tuple[nn.Module, Optimizer]":
        """The model to call and the optimizer; the optimizer is made of the parameters as they are then, after any sharding."""

    def micro(self, *, last: bool) -> AbstractContextManager[None]:
        """Around forward and backward of a micro-batch; gradients must be reduced over the ranks after the step's last one."""

    def backward(self, loss: "Tensor") -> None:
        """Adds to the gradients. Never updates weights: the loop has to look at the norm first."""

    def norm(self) -> "Tensor":
        """Norm of all gradients, a scalar, before the update; the same on all ranks."""

    def clip(self, norm: "Tensor", most: float) -> None:
        """Scales the gradients so that their norm is at most `most`. The optimizer's step() comes next."""

    def save(self, directory: Path) -> list[Path]:
        """Writes weights and optimizer to a checkpoint; returns the files that this rank wrote."""

    def restore(self, checkpoint: Path) -> None:
        """Loads what `save` wrote and `load` has not loaded, after `wrap`. The learning rate is restored by the loop."""

    def full_weights(self) -> "Iterator[tuple[str, Tensor]]":
        """On rank 0 names and tensors of the whole model's state, for TrainingMethod.save; every rank must exhaust the iterator. For a
        method that publishes an adapter, what is frozen may be left out."""

    def close(self) -> None:
        """Releases what would keep the model in memory once nothing else refers to it. The last call."""
