"""Replaces the linear layers of a loaded model by bitsandbytes' quantised ones.

Import it inside a function: importing bitsandbytes takes seconds.
"""

from collections.abc import Collection
from typing import Any

import torch
from bitsandbytes.nn.modules import Int8Params, Linear4bit, Linear8bitLt, Params4bit
from torch import nn
from transformers.pytorch_utils import Conv1D

READ_DIRECTLY = ("dt_proj", "x_proj", "weights_proj", "prediction_coefs", "correction_coefs", "router.classifier")
"""Small layers whose weights some models compute with, or cast to the type of, without calling the layer."""


class Nf4Linear(Linear4bit):
    """Computes alike in training and in evaluation: on some CPUs bitsandbytes packs the weights for inference in eval mode, for good."""

    def train(self, mode: bool = True) -> "Nf4Linear":
        super().train(True)
        return self


class Int8Linear(Linear8bitLt):
    """Computes alike in training and in evaluation: on CPUs bitsandbytes also quantises the inputs in eval mode."""

    def train(self, mode: bool = True) -> "Int8Linear":
        super().train(True)
        return self


def quantize(model: Any, quantization: str, left_alone: Collection[str]) -> None:
    """In place, by the rank's device, computing in the model's precision. The head and modules named in `left_alone` (among
    them linear layers that compute something else than a product) stay as they are.

    Weights in nf4 are handed back to the CPU: a strategy that divides them puts no more than a part on the device. They are stored as
    numbers of the model's precision, as strategies cast all others."""
    device = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    made: dict[nn.Module, nn.Module] = {}  # some models use one layer in several places
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if isinstance(module, nn.Linear | Conv1D) and module is not model.get_output_embeddings() and not stays(model, name, left_alone):
            if module not in made:
                layer = quantized(module, quantization, model.dtype).to(device)
                made[module] = layer.to("cpu") if quantization == "nf4" else layer
            model.set_submodule(name, made[module])
    model.is_loaded_in_4bit, model.is_loaded_in_8bit = quantization == "nf4", quantization == "int8"  # PEFT asks


def stays(model: Any, name: str, left_alone: Collection[str]) -> bool:
    """Whether the module is, or is part of, one that must not be quantised."""
    parts = (*(getattr(model, "_keep_in_fp32_modules", None) or ()), *READ_DIRECTLY)  # of names: indexer.weights_proj
    return any(f".{part}." in f".{name}." for part in parts) or any(f"{name}.".startswith(f"{other}.") for other in left_alone)


def quantized(module: Any, quantization: str, dtype: torch.dtype) -> nn.Module:
    """The layer with the same weights, which are quantised when it is moved to a device."""
    weight = module.weight.data.T.contiguous() if isinstance(module, Conv1D) else module.weight.data
    outputs, inputs = weight.shape
    layer: Any
    with torch.device("meta"):
        if quantization == "nf4":
            layer = Nf4Linear(  # type: ignore[no-untyped-call]
                inputs, outputs, module.bias is not None, dtype, compress_statistics=True, quant_type="nf4", quant_storage=dtype
            )
        else:
            layer = Int8Linear(inputs, outputs, module.bias is not None, has_fp16_weights=False, threshold=6.0)
    if quantization == "nf4":
        layer.weight = Params4bit(
            weight, requires_grad=False, compress_statistics=True, quant_type="nf4", quant_storage=dtype, module=layer
        )
    else:
        layer.weight = Int8Params(weight, requires_grad=False, has_fp16_weights=False)
    layer.bias = module.bias
    return layer.requires_grad_(False)  # type: ignore[no-any-return]
