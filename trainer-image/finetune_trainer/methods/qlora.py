"""QLoRA (Dettmers et al. 2023): LoRA on a base whose linear layers are quantised while it trains.

publish merges the adapter into the unquantised base.
"""

from typing import Any

from finetune_api.resources.learning import Precision
from finetune_api.resources.method import Qlora
from finetune_api.run_config import RunMethod
from finetune_trainer.families import Family
from finetune_trainer.methods.lora import Lora, left_alone
from finetune_trainer.methods.method import BYTES, FP32, Decide, Layers

QUANTIZED = {"nf4": 0.5 + 1 / 64 + 4 / (64 * 256), "int8": 1.0}
"""Of a quantised weight. nf4 has a scale of a byte for 64 weights, and one of 4 bytes for 256 scales (double quantisation)."""


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
        """Layers in `quantized_layers` have few bytes, all other weights the run's precision; one layer at a time is dequantised."""
        chosen, kind, size = quantized_layers(layers), quantization_of(settings), BYTES[precision]
        counts = [outputs * inputs for outputs, inputs in chosen.values()]
        scales = FP32 * sum(outputs for outputs, _ in chosen.values()) if kind == "int8" else 0
        return int((parameters - sum(counts)) * size + sum(counts) * QUANTIZED[kind] + scales + max(counts, default=0) * size)

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
