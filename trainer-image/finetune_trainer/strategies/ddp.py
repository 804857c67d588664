"""DistributedDataParallel: every rank holds the whole model; gradients are averaged. Also what a single process does."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune_api.run_config import RunMethod, RunStrategy
from finetune_trainer.methods import TrainingMethod
from finetune_trainer.strategies.strategy import DistributedModel, ModelBytes, StateBytes
from finetune_trainer.workspace.files import walk
from finetune_trainer.workspace.prepared import Prepared

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from finetune_trainer.distributed.world import World

OPTIMIZER = "optimizer.pt"


class Ddp:
    """A Strategy."""

    name = "ddp"
    autocast = True
    scales_loss = True
    language_only = False
    divides = False

    def obstacle(self, method: TrainingMethod, settings: RunMethod) -> str:
        return ""

    def model_parallel(self, settings: RunStrategy) -> int:
        return 1

    def bytes_per_rank(self, model: ModelBytes, processes: int, settings: RunStrategy) -> StateBytes:
        return model.state  # gradients are views into DDP's buckets, so they are there once

    def open(self, world: "World", method: TrainingMethod, prepared: Prepared) -> DistributedModel:
        return Replica(world, method)


class Replica:
    """A DistributedModel: one rank's copy."""

    model: "nn.Module"
    _wrapped: "nn.Module"
    _optimizer: "Optimizer"

    def __init__(self, world: "World", method: TrainingMethod) -> None:
        self._world = world
        self._method = method

    def accelerator_arguments(self) -> dict[str, Any]:
        from accelerate import DistributedDataParallelKwargs

        ddp = DistributedDataParallelKwargs(broadcast_buffers=False, find_unused_parameters=False, gradient_as_bucket_view=True)
        return {"kwargs_handlers": [ddp]}

    def load(self, load: "Callable[[], nn.Module]", checkpoint: Path | None) -> "nn.Module":
        self.model = load().to(self._world.device)
        if checkpoint is not None:
            self._method.restore(self.model, checkpoint)
        return self.model

    def wrap(self, accelerator: "Accelerator", optimizer_of: "Callable[[], Optimizer]") -> "tuple[nn.Module, Optimizer]":
        self._wrapped, self._optimizer = accelerator.prepare(self.model, optimizer_of())
        return self._wrapped, self._optimizer

    @contextlib.contextmanager
    def micro(self, *, last: bool) -> Iterator[None]:
        later = contextlib.nullcontext() if last or self._world.size == 1 else self._wrapped.no_sync()  # type: ignore[operator]
        with later:
            yield

    def backward(self, loss: "Tensor") -> None:
        loss.backward()  # type: ignore[no-untyped-call]

    def norm(self) -> "Tensor":
        from torch.nn.utils import get_total_norm

        gradients = (parameter.grad for parameter in self.model.parameters())
        return get_total_norm([gradient for gradient in gradients if gradient is not None])

    def clip(self, norm: "Tensor", most: float) -> None:
        from torch.nn.utils import clip_grads_with_norm_

        clip_grads_with_norm_(self.model.parameters(), most, norm)

    def save(self, directory: Path) -> list[Path]:
        import torch

        if not self._world.is_first:
            return []
        self._method.save(self.model, directory, self.full_weights())
        torch.save(self._optimizer.state_dict(), directory / OPTIMIZER)
        return list(walk(directory))

    def restore(self, checkpoint: Path) -> None:
        import torch

        mapped = self._world.device.type != "cpu"  # a GPU's ranks read the same pages; a CPU would go on using the file
        self._optimizer.load_state_dict(torch.load(checkpoint / OPTIMIZER, map_location="cpu", weights_only=True, mmap=mapped))

    def full_weights(self) -> "Iterator[tuple[str, Tensor]]":
        return iter(self.model.state_dict().items() if self._world.is_first else ())

    def close(self) -> None:
        """Nothing: reference cycles are all that is left."""


DDP = Ddp()
