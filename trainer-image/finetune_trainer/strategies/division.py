"""Divides a model among the ranks of a mesh by its tensor-parallel plan: parameters become DTensors, and forward passes of their modules
exchange what the other ranks need.

transformers does this while it loads a model, and PEFT while it adds adapters to that. Here the model is complete, with its adapters,
so that every strategy loads it in the same way. An adapter is divided as PEFT does it: the second matrix of a layer that is divided by
its outputs, the first one of a layer that is divided by its inputs.
"""

import re
from collections.abc import Mapping
from typing import Any

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from transformers.distributed.parallel_utils import ALL_PARALLEL_STYLES

_LAYER_NUMBER = re.compile(r"\.\d+(?=\.|$)")
_ADAPTER = re.compile(r"\.lora_([AB])\.\w+$")
DIVIDED = {"A": "rowwise", "B": "colwise"}
"""The matrix of an adapter that is divided like its layer, by the layer's style."""
Plan = Mapping[str, str]
"""Styles of transformers by the name of a module or a parameter, * for the number of a layer."""


def divide(model: Any, mesh: DeviceMesh) -> None:
    """In place; `mesh` has one dimension. Tied weights stay one parameter."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    plan: Plan = base.tp_plan
    parts: dict[int, nn.Parameter] = {}
    for name, module in list(base.named_modules()):
        if isinstance(module, BaseTunerLayer):
            continue  # its parts are modules, too
        own = style_of(name, plan)
        for place, parameter in list(module.named_parameters(recurse=False)):
            style = plan.get(_LAYER_NUMBER.sub(".*", f"{name}.{place}"), own)
            if style is None:
                continue
            if id(parameter) not in parts:
                ALL_PARALLEL_STYLES[style].shard_param(module, place, mesh)
                parts[id(parameter)] = module._parameters[place]
            module._parameters[place] = parts[id(parameter)]
        if own is not None:
            if own == "mla_kv_a_proj":
                module.config = base.config.get_text_config()  # where the style looks for the width of the rotary part
            ALL_PARALLEL_STYLES[own].install_forward(module, mesh)


def style_of(name: str, plan: Plan) -> str | None:
    """Of a module; None for one that every rank has whole."""
    adapter = _ADAPTER.search(name)
    layer = name[: adapter.start()] if adapter else name.removesuffix(".base_layer")
    style = plan.get(_LAYER_NUMBER.sub(".*", layer))
    return style if adapter is None or style == DIVIDED[adapter[1]] else None
