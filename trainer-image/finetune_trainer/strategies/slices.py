"""The DistributedModel of strategy tensor-parallel: this rank's part of every layer.

Parameters that the plan divides are DTensors, the others plain tensors that all ranks of a group change alike. Checkpoints are those of
fsdp: a file for each rank, which any number of ranks can load.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from finetune_trainer.strategies.division import divide
from finetune_trainer.strategies.fsdp import WEIGHTS, Shards, read


class Slices(Shards):
    """A DistributedModel."""

    def load(self, load: Callable[[], nn.Module], checkpoint: Path | None) -> nn.Module:
        """One weight at a time is moved to the device and divided, so that no device holds the whole model."""
        self._world.form_group()
        shape = (self._world.data_size, self._world.model_parallel)
        mesh = init_device_mesh(self._world.device.type, shape, mesh_dim_names=("data", "tensor"))
        self._data, self._tensor = mesh.get_group("data"), mesh.get_group("tensor")
        model = load()
        divide(model, mesh["tensor"])
        self.model = model.to(self._world.device)
        if checkpoint is not None:
            read(checkpoint / WEIGHTS, self._weights())
        return model

    def wrap(self, accelerator: Accelerator, optimizer_of: Callable[[], Optimizer]) -> tuple[nn.Module, Optimizer]:
        self._optimizer = optimizer_of()
        separate(self._optimizer)
        return accelerator.prepare_model(self.model, device_placement=False, evaluation_mode=True), self._optimizer  # autocast

    @contextlib.contextmanager
    def micro(self, *, last: bool) -> Iterator[None]:
        yield
        if last:
            self._agree()

    def _agree(self) -> None:
        """Gradients are averaged over the groups, which computed other micro-batches, and those of whole parameters in each group, too:
        its ranks computed the same, but a GPU need not round it alike, and their weights must stay the same."""
        for parameter in self._trained():
            if parameter.grad is None and self._world.data_size > 1:  # experts that no token of this group came to
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in self._trained() if parameter.grad is not None]
        average([local(gradient) for gradient in gradients if not is_divided(gradient)], self._tensor)
        average([local(gradient) for gradient in gradients], self._data)

    def norm(self) -> Tensor:
        """The squares of parts are summed over their ranks, those of whole tensors are the same on each."""
        squares = torch.zeros(2, device=self._world.device)
        for parameter in self._trained():
            if parameter.grad is not None:
                squares[int(is_divided(parameter.grad))] += local(parameter.grad).float().square().sum()
        squares[0] /= self._world.model_parallel
        torch.distributed.all_reduce(squares, group=self._tensor)
        return squares.sum().sqrt()

    def clip(self, norm: Tensor, most: float) -> None:
        scale = (most / (norm + 1e-6)).clamp(max=1.0)  # as clip_grads_with_norm_ has it, which takes no mixture of tensors
        for parameter in self._trained():
            if parameter.grad is not None:
                local(parameter.grad).mul_(scale)

    def _trained(self) -> list[nn.Parameter]:
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]


def average(tensors: list[Tensor], group: torch.distributed.ProcessGroup) -> None:
    """In place, over the ranks of a group."""
    size = torch.distributed.get_world_size(group)
    if size == 1:
        return
    for work in [torch.distributed.all_reduce(tensor, group=group, async_op=True) for tensor in tensors]:
        work.wait()
    for tensor in tensors:
        tensor /= size


def local(tensor: Tensor) -> Tensor:
    """This rank's part, sharing its memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def is_divided(tensor: Tensor) -> bool:
    """Whether other ranks of the group hold other parts of it."""
    return isinstance(tensor, DTensor) and not all(placement.is_replicate() for placement in tensor.placements)


def separate(optimizer: Optimizer) -> None:
    """Groups of DTensors and groups of other tensors: a fused update takes no mixture."""
    groups: list[dict[str, Any]] = optimizer.param_groups
    optimizer.param_groups = [
        group | {"params": chosen}
        for group in groups
        for kind in (True, False)
        if (chosen := [parameter for parameter in group["params"] if isinstance(parameter, DTensor) == kind])
    ]
