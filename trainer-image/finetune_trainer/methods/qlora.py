"""QLoRA (Dettmers et al. 2023): LoRA on a base whose linear layers are quantised while it trains.

publish merges the adapter into the unquantised base.
"""

import math
from typing import Any

from finetune_api.resources.learning import Precision
from finetune_api.resources.method import Qlora
from finetune_api.run_config import RunMethod
from finetune_trainer.families import Family
from finetune_trainer.methods.lora import Lora, left_alone
from finetune_trainer.methods.method import BYTES, FP32, Decide, Layers

QUANTIZED = {"nf4": 0.5, "int8": 1.0}
"""Bytes of a quantised weight."""
SCALES = 1 / 64 + 4 / (64 * 256)
"""Bytes of nf4's scales for a weight: one byte for 64 weights, and one of 4 bytes for 256 scales (double quantisation)."""


class QLora(Lora):
    """A TrainingMethod."""

    name = "qlora"
    title = "QLoRA"
    quantized = True

    def obstacle(self, family: Family) -> str:
        return family.lora or family.qlora

    def resolve(self, given: RunMethod, examples: int, decide: Decide) -> RunMethod:
        return super().resolve(given, examples, decide).model_copy(update={"qlora": given.qlora or Qlora()})

    def base_bytes(self, parameters: int, layers: Layers, settings: RunMethod, precision: Precision) -> int:
        """Layers in `quantized_layers` have few bytes, all other weights the run's precision."""
        count, kind = sum(map(math.prod, quantized_layers(layers).values())), quantization_of(settings)
        weights = int((parameters - count) * BYTES[precision] + count * QUANTIZED[kind])
        return weights + self.undivided_bytes(layers, settings, precision)

    def undivided_bytes(self, layers: Layers, settings: RunMethod, precision: Precision) -> int:
        """The scales, and one layer at a time that is dequantised."""
        shapes = quantized_layers(layers).values()
        counts = [outputs * inputs for outputs, inputs in shapes]
        scales = SCALES * sum(counts) if quantization_of(settings) == "nf4" else FP32 * sum(outputs for outputs, _ in shapes)
        return int(scales) + max(counts, default=0) * BYTES[precision]

    def freeze(self, model: Any, settings: RunMethod, whole: list[str]) -> Any:
        from finetune_trainer.methods.quantization import quantize

        quantize(model, quantization_of(settings), {*whole, *left_alone(model)})
        return model


def quantization_of(settings: RunMethod) -> str:
    """nf4 or int8."""
    return (settings.qlora or Qlora()).quantization


def quantized_layers(layers: Layers) -> Layers:
    """Without the experts of a mixture, which transformers holds as one tensor that is no linear layer."""
    return {name: shape for name, shape in layers.items() if "experts" not in name}


QLORA = QLora()
