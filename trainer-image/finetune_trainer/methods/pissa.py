"""PiSSA (Meng et al. 2024): adapters that start as the principal singular components of the weights, which the base gives up.

With W for a weight of the base and A0, B0 for the adapter's start (scaled), the base holds W - B0 A0 while B A trains. What is
written is an ordinary LoRA adapter of twice the rank for W itself: B A - B0 A0 = [B, -B0] [A; A0]. PEFT converts in the same way when
it saves, but loads a second adapter into the model for it, which shards do not allow.
"""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

PEFT_INITIALIZATION = "pissa_niter_16"
"""By randomized SVD with 16 iterations, which the paper finds equal to the exact one: that takes a minute for each large matrix."""
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
START = "pissa_start"
"""Attribute of the model."""

Tensors = dict[str, "Tensor"]


def keep_start(model: Any) -> None:
    """Notes the adapter's start in host memory, by the names of adapter files."""
    from peft import get_peft_model_state_dict

    state = get_peft_model_state_dict(model)
    setattr(model, START, {name: tensor.detach().cpu().clone() for name, tensor in state.items() if is_adapter(name)})


def start_of(model: Any) -> Tensors | None:
    """None for a model that was not initialized this way."""
    found: Tensors | None = getattr(model, START, None)
    return found


def is_adapter(name: str) -> bool:
    """Not a module that is trained as a whole."""
    return ".lora_A." in name or ".lora_B." in name


def rewrite(folder: Path, start: Tensors) -> None:
    """Turns the files of an adapter for the reduced base into those of one for the base itself."""
    from safetensors.torch import load_file, save_file

    trained = load_file(folder / WEIGHTS)
    save_file({name: widened(name, tensor, start) for name, tensor in trained.items()}, folder / WEIGHTS, {"format": "pt"})
    settings = json.loads((folder / CONFIG).read_bytes())
    # The scale stays what it was: alpha / rank, or alpha / sqrt(rank).
    alpha = settings["lora_alpha"] * (math.sqrt(2) if settings["use_rslora"] else 2)
    settings |= {"r": 2 * settings["r"], "lora_alpha": alpha, "init_lora_weights": True}
    (folder / CONFIG).write_text(json.dumps(settings, indent=2, sort_keys=True))


def widened(name: str, tensor: "Tensor", start: Tensors) -> "Tensor":
    """A (rank, inputs) with A0 below it, B (outputs, rank) with -B0 to the right of it."""
    import torch

    if name not in start:
        return tensor
    return torch.cat([tensor, start[name]], 0) if ".lora_A." in name else torch.cat([tensor, -start[name]], 1)


def narrowed(tensors: Tensors, start: Tensors) -> Tensors:
    """What `rewrite` was given, from what it wrote."""
    return {name: narrow(name, tensor, start) for name, tensor in tensors.items()}


def narrow(name: str, tensor: "Tensor", start: Tensors) -> "Tensor":
    """The first half."""
    if name not in start:
        return tensor
    return tensor[: start[name].shape[0]] if ".lora_A." in name else tensor[:, : start[name].shape[1]].contiguous()
