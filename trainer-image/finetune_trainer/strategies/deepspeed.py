"""ZeRO (Rajbhandari et al. 2020) by DeepSpeed: ranks divide the optimizer's state (stage 1), also gradients (2), also weights (3).

offload keeps the optimizer's state and the copy that it updates, or also the weights, in the host's memory. DeepSpeed has an optimizer
for that, which is compiled where it runs; torch's own updates tensors on a CPU as well.

With precision bf16, trained weights of the base are bf16 and the optimizer updates an fp32 copy, of which every rank has a part;
adapters stay in fp32. Gradients are reduced and summed in fp32.
"""

from typing import TYPE_CHECKING

from finetune_api.run_config import RunMethod, RunStrategy
from finetune_trainer.methods import TrainingMethod
from finetune_trainer.strategies.strategy import DistributedModel, ModelBytes, StateBytes, cannot_be_divided
from finetune_trainer.workspace.prepared import Prepared

if TYPE_CHECKING:
    from finetune_trainer.distributed.world import World

BUCKET = 50_000_000
"""Parameters whose gradients are reduced at once."""
LIVE = 200_000_000
"""Parameters whose weights stage 3 may keep whole because they are used again soon."""
GATHERED = 2
"""Layers whose weights are whole in any case: the next one is gathered while one computes."""
FP32 = 4


class DeepSpeed:
    """A Strategy."""

    name = "deepspeed"
    autocast = False
    scales_loss = False  # the engine holds the gradients, and a step that overflows could not be left out
    language_only = False
    divides = True

    def obstacle(self, method: TrainingMethod, settings: RunMethod) -> str:
        return cannot_be_divided(method, settings)

    def model_parallel(self, settings: RunStrategy) -> int:
        return 1

    def bytes_per_rank(self, model: ModelBytes, processes: int, settings: RunStrategy) -> StateBytes:
        whole = model.state
        trains_all = whole.weights == whole.gradients
        weights = model.computed if trains_all else whole.weights
        part, optimizer = -(-whole.gradients // processes), -(-whole.optimizer // processes)
        buckets = 2 * min(whole.gradients, FP32 * BUCKET)
        divided = 0  # weights that the rank holds by itself
        if settings.zero_stage == 3:
            divided = -(-(weights - model.undivided_bytes) // processes)
            weights = model.undivided_bytes + min(model.computed, model.outside + GATHERED * model.layer + FP32 * LIVE)
        gradients = whole.gradients if settings.zero_stage == 1 else part + model.layer_gradients
        updated = 2 * part  # the copy that is updated, and one more copy of the part's gradients when the optimizer steps
        if settings.offload == "none":
            return StateBytes(weights + divided + part, gradients + part + buckets, optimizer)
        moved = divided if settings.offload == "parameters" else 0
        # What is trained in 16 bits has its gradients summed in fp32, at stage 2 on the device.
        summed = part if settings.zero_stage == 2 and trains_all and model.computed < whole.weights else 0
        return StateBytes(
            weights=weights + divided - moved,
            gradients=model.layer_gradients + buckets + summed,
            optimizer=0,
            host=moved + updated + part + optimizer,
        )

    def open(self, world: "World", method: TrainingMethod, prepared: Prepared) -> DistributedModel:
        from finetune_trainer.strategies.zero import Zero

        return Zero(world, method, prepared)


DEEPSPEED = DeepSpeed()
