"""IA3 (Liu et al. 2022): learned factors on keys, values, and what goes into the second matrix of the feed-forward part, by PEFT.

A factor for each output of a layer, or with a feed-forward layer for each input. They begin at 1, which changes nothing.
"""

import re
from collections.abc import Iterable
from typing import Any

from finetune_api.resources import method as spec
from finetune_api.run_config import RunMethod
from finetune_trainer.failure import invalid
from finetune_trainer.families import Family
from finetune_trainer.methods.adapter import AdapterMethod, layers_named, stores_transposed
from finetune_trainer.methods.method import Decide, Layers

KEYS_AND_VALUES = (
    "k_proj", "v_proj", "key", "value", "key_proj", "value_proj", "k_lin", "v_lin", "Wk", "Wv", "k", "v", "kv_proj", "kv_b_proj",
    "query_key_value", "qkv_proj", "Wqkv", "c_attn", "self.in_proj", "wkv", "wk_dv", "wv_dv",
)  # fmt: skip
"""Ends of names. Where one matrix has queries as well, they get factors too, as PEFT has it for these models."""
FEED_FORWARD = (
    "down_proj", "fc2", "fc_out", "dense_4h_to_h", "mlp.c_proj", "output.dense", "feed_forward.w2", "mlp.Wo", "lin2", "output_linear",
    "ffn_output", "proj_down", "ffn.2", "feed_forward.value", "shared_experts.w2",
)  # fmt: skip
OTHERS = re.compile(r"(attention\.output\.dense|feed_forward\.key)$|\b(experts|indexer|compressor|gate|router|\w+_layernorm)\.")
"""Layers whose names end alike: the output of an attention, routed experts (in few models they are linear layers), and what only chooses
or normalizes."""
FACTORS = ".ia3_l."
"""In the names of the trained parameters."""


class Ia3(AdapterMethod):
    """A TrainingMethod."""

    name = "ia3"
    title = "IA3"
    learning_rate_scale = 10.0  # 3e-3 for the 11 billion parameters of T0 in the paper

    def obstacle(self, family: Family) -> str:
        return family.lora or family.ia3

    def resolve(self, given: RunMethod, examples: int, decide: Decide) -> RunMethod:
        return given.model_copy(update={"ia3": ia3_of(given)})

    def adapted(self, layers: Layers, settings: RunMethod) -> Layers:
        ia3 = ia3_of(settings)
        if ia3.target_modules is None:
            chosen = {name: shape for name, shape in layers.items() if scaled(name)}
        else:
            chosen = dict(layers_named(ia3.target_modules, layers, "method.ia3.targetModules"))
        if not chosen:
            kinds = sorted({name.rpartition(".")[2] for name in layers})
            raise invalid(
                "InvalidTargetModules",
                f"method.ia3.targetModules: the names of the model's linear layers ({', '.join(kinds[:20])}) do not tell which of them "
                "compute keys, values or the output of the feed-forward part: set targetModules and feedforwardModules, or use "
                "method.type: lora",
                param="method.ia3.targetModules",
            )
        return chosen

    def trained(self, parameters: int, layers: Layers, settings: RunMethod) -> int:
        feed_forward = self.feed_forward(layers, settings)
        return sum(inputs if name in feed_forward else outputs for name, (outputs, inputs) in self.adapted(layers, settings).items())

    def written(self, parameters: int, layers: Layers, settings: RunMethod) -> int:
        return self.trained(parameters, layers, settings)

    def inputs(self, layers: Layers, settings: RunMethod) -> int:
        return sum(inputs for _, inputs in self.feed_forward(layers, settings).values())

    def kept(self, layers: Layers, settings: RunMethod) -> int:
        """What the factors multiply is kept once, that of a feed-forward layer in fp32."""
        return self.trained(0, layers, settings) // 2

    def feed_forward(self, layers: Layers, settings: RunMethod) -> Layers:
        """Those of the adapted layers whose inputs get the factors."""
        names = ia3_of(settings).feedforward_modules
        adapted = self.adapted(layers, settings)
        if names is None:
            return {name: shape for name, shape in adapted.items() if is_feed_forward(name)}
        return layers_named(names, adapted, "method.ia3.feedforwardModules")

    def prepare(self, model: Any, settings: RunMethod, task_type: str, whole: list[str]) -> Any:
        from peft import IA3Config, get_peft_model

        layers = linear_layers(model)
        names = [name for name, _ in model.named_modules()]
        config = IA3Config(
            task_type=task_type,
            target_modules=pattern(self.adapted(layers, settings), names),
            feedforward_modules=pattern(self.feed_forward(layers, settings), names),
            fan_in_fan_out=stores_transposed(model),
            modules_to_save=list(whole) or None,  # PEFT adds to it
        )
        return get_peft_model(model, config)


def ia3_of(settings: RunMethod) -> spec.Ia3:
    """The adapter's settings, or their defaults."""
    return settings.ia3 or spec.Ia3()


def scaled(name: str) -> bool:
    """Whether a layer of this name gets factors by default."""
    return is_feed_forward(name) or (ends(name, KEYS_AND_VALUES) and not OTHERS.search(name))


def is_feed_forward(name: str) -> bool:
    """Whether it is the second matrix of a feed-forward part."""
    return ends(name, FEED_FORWARD) and not OTHERS.search(name)


def ends(name: str, modules: tuple[str, ...]) -> bool:
    """With one of these names as a whole."""
    return any(("." + name).endswith("." + module) for module in modules)


def linear_layers(model: Any) -> Layers:
    """Of the model's repeated parts, as prepare reads them from the files."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    found = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D)}
    shapes = {name: tuple(module.weight.shape) for name, module in found.items() if any(part.isdigit() for part in name.split("."))}
    return {name: (shape[1], shape[0]) if isinstance(found[name], Conv1D) else (shape[0], shape[1]) for name, shape in shapes.items()}


def pattern(chosen: Iterable[str], modules: Iterable[str]) -> str:
    """A regular expression that of the model's modules matches the chosen ones, by their whole names: PEFT takes a list as ends of names,
    which would hit the output of BERT's attention with that of its feed-forward part. It is the same for every number of a layer where
    all modules of a kind are chosen, and has their names where some are. "-" matches none."""
    wanted = set(chosen)
    some = {kind(name) for name in modules if name not in wanted}
    parts = dict.fromkeys(re.escape(name) if kind(name) in some else kind(name) for name in chosen)
    return "|".join(parts) or "-"


def kind(name: str) -> str:
    """A regular expression for the modules of this name in every layer."""
    return re.sub(r"(?<=\\\.)\d+(?=\\\.)", r"\\d+", re.escape(name))


IA3 = Ia3()
