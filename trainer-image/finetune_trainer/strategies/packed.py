"""Weights of several matrices in one, gate and up, of which each rank has a part of every one: for torch.distributed.checkpoint, which
takes what a rank has of a tensor for one region of it, each matrix is a tensor of its own.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Shard
from torch.distributed.tensor.placement_types import _StridedShard


def unpacked(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same memory, with the matrices of each packed tensor NAME as NAME[0], NAME[1] and so on, whatever the number of ranks."""
    return {name: tensor for packed, whole in tensors.items() for name, tensor in matrices(packed, whole)}


def matrices(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Of one tensor, with their names; a tensor that is not packed is its only one."""
    placement = tensor.placements[0] if isinstance(tensor, DTensor) else None
    if not isinstance(tensor, DTensor) or not isinstance(placement, _StridedShard):
        yield name, tensor
        return
    dimension, count = placement.dim, int(placement.split_factor)
    shape = list(tensor.shape)
    shape[dimension] //= count
    stride = torch.empty(shape, device="meta").stride()
    for number, part in enumerate(tensor.to_local().chunk(count, dimension)):
        matrix = DTensor.from_local(part, tensor.device_mesh, [Shard(dimension)], run_check=False, shape=torch.Size(shape), stride=stride)
        yield f"{name}[{number}]", matrix
