"""Fully sharded data parallelism (Zhao et al. 2023; torch's fully_shard, "FSDP2"): every rank holds a part of each weight, its gradient
and its optimizer state, and gathers a layer's weights when it computes with them.

torch's fully_shard is called directly: Accelerate would reduce gradients in bf16, wants model and optimizer at the same time, and has
no part in what follows. Checkpoints are written by torch.distributed.checkpoint as safetensors, a file for each rank, and can be
loaded by any number of ranks.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune_api.run_config import RunMethod, RunStrategy
from finetune_trainer.layers import layers
from finetune_trainer.methods import TrainingMethod
from finetune_trainer.methods.method import DTYPES
from finetune_trainer.strategies.copies import Copies
from finetune_trainer.strategies.strategy import DistributedModel, ModelBytes, StateBytes, cannot_be_divided
from finetune_trainer.workspace.prepared import Prepared

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor, nn
    from torch.distributed.fsdp import MixedPrecisionPolicy
    from torch.optim import Optimizer

    from finetune_trainer.distributed.world import World

WEIGHTS, STATE = "weights", "optimizer"
"""Folders of a checkpoint."""
GATHERED = 2
"""Layers whose weights are whole at a time: the next one is gathered while one computes."""


class Fsdp:
    """A Strategy."""

    name = "fsdp"
    autocast = False
    scales_loss = True
    language_only = False
    divides = True

    def obstacle(self, method: TrainingMethod, settings: RunMethod) -> str:
        return cannot_be_divided(method, settings)

    def model_parallel(self, settings: RunStrategy) -> int:
        return 1

    def bytes_per_rank(self, model: ModelBytes, processes: int, settings: RunStrategy) -> StateBytes:
        whole = model.state
        gathered = model.computed if settings.sharding == "grad" else min(model.computed, model.outside + GATHERED * model.layer)
        return StateBytes(
            weights=-(-(whole.weights - model.undivided_bytes) // processes) + model.undivided_bytes + gathered,
            gradients=-(-whole.gradients // processes) + model.layer_gradients,
            optimizer=-(-whole.optimizer // processes),
        )

    def open(self, world: "World", method: TrainingMethod, prepared: Prepared) -> DistributedModel:
        return Shards(world, method, prepared)


class Shards:
    """A DistributedModel: one rank's part of every weight."""

    model: Any
    """An FSDPModule."""
    _optimizer: "Optimizer"

    def __init__(self, world: "World", method: TrainingMethod, prepared: Prepared) -> None:
        self._world = world
        self._method = method
        self._precision = prepared.hyperparameters.precision
        self._gathers_again = prepared.strategy.sharding == "full"

    def accelerator_arguments(self) -> dict[str, Any]:
        return {}

    def load(self, load: "Callable[[], nn.Module]", checkpoint: Path | None) -> "nn.Module":
        """Each layer is moved to the device and sharded by itself, so that no device holds the whole model."""
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        self._world.form_group()
        mesh = init_device_mesh(self._world.device.type, (self._world.size,))
        model = load()
        for part in [*layers(model), model]:
            again = None if self._gathers_again else False  # None: all but the weights outside the layers, which come first in backward
            fully_shard(part, mesh=mesh, reshard_after_forward=again, mp_policy=self._policy(part is model))
        self.model = model
        if checkpoint is not None:
            read(checkpoint / WEIGHTS, self._weights())
        return model

    def _policy(self, root: bool) -> "MixedPrecisionPolicy":
        """Computes in the run's precision, keeps and reduces in fp32, and gives logits in fp32 as autocast does."""
        import torch
        from torch.distributed.fsdp import MixedPrecisionPolicy

        if (dtype := getattr(torch, DTYPES[self._precision])) == torch.float32:
            return MixedPrecisionPolicy()
        return MixedPrecisionPolicy(dtype, torch.float32, output_dtype=torch.float32 if root else None)

    def wrap(self, accelerator: "Accelerator", optimizer_of: "Callable[[], Optimizer]") -> "tuple[nn.Module, Optimizer]":
        shard_again(self.model)
        self._optimizer = optimizer_of()
        return self.model, self._optimizer

    def micro(self, *, last: bool) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()  # reduced every time: what is not reduced is not sharded either

    def backward(self, loss: "Tensor") -> None:
        loss.backward()  # type: ignore[no-untyped-call]

    def norm(self) -> "Tensor":
        from torch.distributed.tensor import DTensor
        from torch.nn.utils import get_total_norm

        norm = get_total_norm([parameter.grad for parameter in self.model.parameters() if parameter.grad is not None])
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    def clip(self, norm: "Tensor", most: float) -> None:
        from torch.nn.utils import clip_grads_with_norm_

        clip_grads_with_norm_(self.model.parameters(), most, norm)

    def save(self, directory: Path) -> list[Path]:
        shard_again(self.model)
        return [
            *write(directory / WEIGHTS, self._weights(), self._world.rank),
            *write(directory / STATE, self._state(), self._world.rank),
        ]

    def restore(self, checkpoint: Path) -> None:
        read(checkpoint / STATE, self._state())

    def full_weights(self) -> "Iterator[tuple[str, Tensor]]":
        """Gathers one tensor at a time; tied weights stay one tensor."""
        shard_again(self.model)
        copies = Copies()
        gathered: dict[int, Tensor | None] = {}
        trained = self._weights() if self._method.published == "adapter" else None
        for name, tensor in self.model.state_dict(keep_vars=True).items():
            if trained is not None and name not in trained:
                continue
            if id(tensor) not in gathered:
                whole = tensor.detach().full_tensor() if hasattr(tensor, "full_tensor") else tensor.detach()
                gathered[id(tensor)] = copies.of(whole) if self._world.is_first else None
            if (found := gathered[id(tensor)]) is not None:
                yield name, found
        copies.end()

    def close(self) -> None:
        """Nothing: reference cycles are all that is left."""

    def _weights(self) -> "dict[str, Tensor]":
        """What is trained, by name: this rank's part."""
        return {name: parameter.data for name, parameter in self.model.named_parameters() if parameter.requires_grad}

    def _state(self) -> "dict[str, Tensor]":
        """The optimizer's tensors by name: this rank's part, and what all ranks have alike. They are created if there are none yet."""
        from torch import Tensor
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict

        options = StateDictOptions(flatten_optimizer_state_dict=True)
        state: dict[str, Any] = get_optimizer_state_dict(self.model, self._optimizer, options=options)
        return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def shard_again(model: Any) -> None:
    """Frees weights that a forward pass without a backward pass has left whole: the model would show these as its parameters."""
    from torch.distributed.fsdp import FSDPModule

    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def write(folder: Path, tensors: "dict[str, Tensor]", rank: int) -> list[Path]:
    """Writes all ranks' parts to `folder`; returns this rank's files."""
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    from finetune_trainer.strategies.packed import unpacked

    save(unpacked(tensors), storage_writer=HuggingFaceStorageWriter(str(folder), save_distributed=True))
    return sorted(folder.glob(f"shard-{rank + 1:05d}-*"))


def read(folder: Path, tensors: "dict[str, Tensor]") -> None:
    """Fills this rank's parts, whatever number of ranks wrote the folder."""
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load

    from finetune_trainer.strategies.packed import unpacked

    load(unpacked(tensors), storage_reader=HuggingFaceStorageReader(str(folder)))


FSDP = Fsdp()
