"""Divides a model among the ranks of a mesh by its tensor-parallel plan: parameters become DTensors, and forward passes of their modules
exchange what the other ranks need.

transformers does this while it loads a model, and PEFT while it adds adapters to that. Here the model is complete, with its adapters,
so that every strategy loads it in the same way. An adapter is divided as PEFT does it: the second matrix of a layer that is divided by
its outputs, the first one of a layer that is divided by its inputs.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from transformers.distributed.parallel_utils import ALL_PARALLEL_STYLES

_LAYER_NUMBER = re.compile(r"\.\d+(?=\.|$)")
_ADAPTER = re.compile(r"\.lora_([AB])\.\w+$")
DIVIDED = {"A": "rowwise", "B": "colwise"}
"""The matrix of an adapter that is divided like its layer, by the layer's style."""
BASE_LAYER = ".base_layer"
"""What PEFT calls a layer that has an adapter."""
WITH_PARTIAL_GRADIENT = "replicated_with_grad_allreduce"
"""The style of whole parameters that each rank applies to its own heads only."""
KEYS_OF_ALL_HEADS = "mla_kv_a_proj"
"""The style of a layer whose output has the rotary part of the keys, which each rank's heads use as it is; with that of its adapter."""
BY_ROWS = ("embedding_rowwise", "colwise_gather_output", "colwise_rep", "colwise")
"""Styles that divide embeddings or a head by the vocabulary."""
Plan = Mapping[str, str]
"""Styles of transformers by the name of a module or a parameter, * for the number of a layer."""


def divide(model: Any, mesh: DeviceMesh) -> None:
    """In place; `mesh` has one dimension. Tied weights stay one parameter."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    plan: Plan = base.tp_plan
    whole = kept_whole(base, plan)
    parts: dict[int, nn.Parameter] = {}
    for name, module in list(base.named_modules()):
        own = None if module in whole else style_of(name, plan)
        if isinstance(module, BaseTunerLayer):  # its parts are modules, too
            if own == KEYS_OF_ALL_HEADS:
                install(own, module, base, mesh)
            continue
        for place, parameter in list(module.named_parameters(recurse=False)):
            style = own if module in whole else parameter_style(f"{name}.{place}", own, plan)
            if style is None:
                continue
            if style == WITH_PARTIAL_GRADIENT:
                sum_gradients(parameter, mesh)
                continue
            if id(parameter) not in parts:
                ALL_PARALLEL_STYLES[style].shard_param(module, place, mesh)
                parts[id(parameter)] = module._parameters[place]
            module._parameters[place] = parts[id(parameter)]
        if own in (None, WITH_PARTIAL_GRADIENT) or (own == KEYS_OF_ALL_HEADS and name.endswith(BASE_LAYER)):
            continue
        install(own, module, base, mesh)


def install(style: str, module: Any, base: Any, mesh: DeviceMesh) -> None:
    """Makes the forward pass of the module exchange what it needs."""
    if style == KEYS_OF_ALL_HEADS:
        module.config = base.config.get_text_config()  # where the style looks for the width of the rotary part
    ALL_PARALLEL_STYLES[style].install_forward(module, mesh)


def sum_gradients(parameter: nn.Parameter, mesh: DeviceMesh) -> None:
    """Of each backward pass, before it is added to those of earlier micro-batches: transformers' own hook sums what was summed before."""

    def summed(gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(total, group=mesh.get_group())
        return total

    if parameter.requires_grad:
        parameter.register_hook(summed)  # type: ignore[no-untyped-call]


def kept_whole(base: Any, plan: Plan) -> set[nn.Module]:
    """Modules whose weight is tied to one that the plan leaves whole, or divides along another dimension."""
    owners: dict[int, list[tuple[nn.Module, str | None]]] = {}
    for name, module in base.named_modules():
        for place, parameter in module.named_parameters(recurse=False):
            style = parameter_style(f"{name}.{place}", style_of(name, plan), plan)
            owners.setdefault(id(parameter), []).append((module, style))
    tied = [places for places in owners.values() if len(places) > 1]
    return {module for places in tied if not all(style in BY_ROWS for _, style in places) for module, _ in places}


def style_of(name: str, plan: Plan) -> str | None:
    """Of a module; None for one that every rank has whole."""
    adapter = _ADAPTER.search(name)
    layer = name[: adapter.start()] if adapter else name.removesuffix(BASE_LAYER)
    style = plan.get(_LAYER_NUMBER.sub(".*", layer))
    return style if adapter is None or style == DIVIDED[adapter[1]] else None


def parameter_style(name: str, own: str | None, plan: Plan) -> str | None:
    """The plan's, or that of its module."""
    return plan.get(_LAYER_NUMBER.sub(".*", name), own)
