"""Tensor parallelism (Shoeybi et al. 2019) by the plans of transformers: the ranks of a group compute the same micro-batches together,
each with a part of the heads, of the feed-forward part, of the embeddings and of the head. The groups, if there are several, divide the
micro-batches and average their gradients.
"""

import math
from typing import TYPE_CHECKING

from finetune_api.run_config import RunMethod, RunStrategy, RunWorld
from finetune_trainer.methods import TrainingMethod
from finetune_trainer.methods.lora import Lora
from finetune_trainer.strategies.strategy import DistributedModel, ModelBytes, StateBytes
from finetune_trainer.workspace.prepared import Prepared

if TYPE_CHECKING:
    from finetune_trainer.distributed.world import World


class TensorParallel:
    """A Strategy."""

    name = "tensor-parallel"
    autocast = True
    scales_loss = True
    language_only = True
    divides = True

    def obstacle(self, method: TrainingMethod, settings: RunMethod) -> str:
        if method.quantized:
            return "a matrix of quantized weights has no rows or columns that could be divided"
        if method.published == "adapter" and not isinstance(method, Lora):
            return f"adapters of {method.title} cannot be divided among ranks"
        if settings.lora is not None and settings.lora.dora and method.published == "adapter":
            return "method.lora.dora needs the norms of whole weights"
        return ""

    def model_parallel(self, settings: RunStrategy) -> int:
        return settings.tensor_parallel_size or 1

    def bytes_per_rank(self, model: ModelBytes, processes: int, settings: RunStrategy) -> StateBytes:
        """The share that is left whole is the family's. Of an adapter's two matrices one is whole on each rank,
        so that both are counted as whole."""
        size, whole = self.model_parallel(settings), model.state
        share = model.undivided + (1 - model.undivided) / size
        if whole.weights == whole.gradients:
            return StateBytes(*(math.ceil(share * part) for part in (whole.weights, whole.gradients, whole.optimizer)))
        base = whole.weights - whole.gradients
        return StateBytes(math.ceil(share * base) + whole.gradients, whole.gradients, whole.optimizer)

    def open(self, world: "World", method: TrainingMethod, prepared: Prepared) -> DistributedModel:
        from finetune_trainer.strategies.slices import Slices

        return Slices(world, method, prepared)


def default_size(world: RunWorld) -> int:
    """The processes of a node, which are connected best; of nodes with one process each, all of them."""
    return world.processes_per_node if world.processes_per_node > 1 else world.nodes


TENSOR_PARALLEL = TensorParallel()
