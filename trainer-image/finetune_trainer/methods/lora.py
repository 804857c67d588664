"""LoRA (Hu et al. 2021): low-rank adapters in fp32 on a frozen base in the run's precision, by PEFT."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from finetune_api.resources import method as spec
from finetune_api.run_config import RunMethod
from finetune_trainer.failure import invalid
from finetune_trainer.families import Family
from finetune_trainer.methods.adapter import WEIGHTS, AdapterMethod, check_written, layers_named, stores_transposed
from finetune_trainer.methods.method import Decide, Layers
from finetune_trainer.methods.pissa import PEFT_INITIALIZATION, keep_start, narrowed, rewrite, start_of

ALL = ["all-linear"]
MAMBA = ("falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h")
"""Model types for which PEFT refuses out_proj."""
RANKS = ((10_000, 16), (100_000, 32), (math.inf, 64))
"""(number of examples up to which it applies, rank): more data hold more to learn."""


class Lora(AdapterMethod):
    """A TrainingMethod."""

    name = "lora"
    title = "LoRA"
    learning_rate_scale = 1.0

    def obstacle(self, family: Family) -> str:
        return family.lora

    def resolve(self, given: RunMethod, examples: int, decide: Decide) -> RunMethod:
        lora = given.lora or spec.Lora()
        check_initialization(given, lora)
        automatic = next(rank for most, rank in RANKS if examples <= most)
        rank = decide("lora.rank", lora.rank, automatic, f"{examples:,} examples: more examples allow a higher rank")
        usual = (2 * math.sqrt(rank), "twice the square root of the rank") if lora.rslora else (2.0 * rank, "twice the rank")
        alpha = decide("lora.alpha", lora.alpha, *usual)
        return given.model_copy(update={"lora": lora.model_copy(update={"rank": int(rank), "alpha": float(alpha)})})

    def adapted(self, layers: Layers, settings: RunMethod) -> Layers:
        targets = lora_of(settings).target_modules
        check_targets(targets)
        chosen = layers if layers and targets == ALL else layers_named(targets, layers, "method.lora.targetModules")
        check_rank(lora_of(settings), chosen)
        return chosen

    def trained(self, parameters: int, layers: Layers, settings: RunMethod) -> int:
        rank, magnitudes = lora_of(settings).rank, lora_of(settings).dora
        assert rank is not None  # by resolve
        return sum(rank * (outputs + inputs) + magnitudes * outputs for outputs, inputs in self.adapted(layers, settings).values())

    def written(self, parameters: int, layers: Layers, settings: RunMethod) -> int:
        """With pissa the adapter is written with its start beside it."""
        return self.trained(parameters, layers, settings) * (2 if lora_of(settings).initialization == "pissa" else 1)

    def inputs(self, layers: Layers, settings: RunMethod) -> int:
        return sum(inputs for _, inputs in self.adapted(layers, settings).values())

    def kept(self, layers: Layers, settings: RunMethod) -> int:
        rank, dora = lora_of(settings).rank or 0, lora_of(settings).dora
        return sum(rank + dora * outputs for outputs, _ in self.adapted(layers, settings).values())

    def prepare(self, model: Any, settings: RunMethod, task_type: str, whole: list[str]) -> Any:
        from peft import get_peft_model

        adapter = lora_of(settings)
        config = self.config(model, adapter, task_type, whole)
        try:
            adapted = get_peft_model(self.freeze(model, settings, whole), config)
        except ValueError as exc:
            raise invalid(
                "UnknownTargetModules",
                f"method.lora.targetModules {adapter.target_modules} do not fit the base model: {exc}",
                param="method.lora.targetModules",
            ) from exc
        if adapter.initialization == "pissa":
            keep_start(adapted)
        return adapted

    def config(self, model: Any, adapter: spec.Lora, task_type: str, whole: list[str]) -> Any:
        """PEFT's, of a base as it was loaded."""
        from peft import LoraConfig

        assert adapter.rank is not None and adapter.alpha is not None  # by resolve
        alpha: Any = int(adapter.alpha) if adapter.alpha.is_integer() else adapter.alpha  # most readers of adapters expect an int
        initialization: Any = PEFT_INITIALIZATION if adapter.initialization == "pissa" else True  # PEFT's type has no number of iterations
        return LoraConfig(
            task_type=task_type,
            r=adapter.rank,
            lora_alpha=alpha,
            lora_dropout=adapter.dropout,
            use_dora=adapter.dora,
            use_rslora=adapter.rslora,
            init_lora_weights=initialization,
            fan_in_fan_out=stores_transposed(model),
            target_modules="all-linear" if adapter.target_modules == ALL else list(adapter.target_modules),
            exclude_modules=left_alone(model) or None if adapter.target_modules == ALL else None,
            modules_to_save=list(whole) or None,  # PEFT adds to it
        )

    def freeze(self, model: Any, settings: RunMethod, whole: list[str]) -> Any:
        """The base as it is held while the adapter trains."""
        return model

    def save(self, model: Any, folder: Path, weights: Iterable[tuple[str, Any]]) -> None:
        super().save(model, folder, weights)
        if (start := start_of(model)) is not None:
            rewrite(folder, start)

    def restore(self, model: Any, folder: Path) -> None:
        from peft import set_peft_model_state_dict
        from safetensors.torch import load_file

        if (start := start_of(model)) is None:
            super().restore(model, folder)
        else:
            check_written(model, folder)
            set_peft_model_state_dict(model, narrowed(load_file(folder / WEIGHTS), start))


def lora_of(settings: RunMethod) -> spec.Lora:
    """The adapter's settings, or their defaults."""
    return settings.lora or spec.Lora()


def check_initialization(method: RunMethod, lora: spec.Lora) -> None:
    """Raises StageFailure for an initialization that takes a part out of the base, where the base is needed as it is."""
    obstacle = ""
    if method.type != "lora":
        obstacle = f"type {method.type}, whose base is quantized"
    elif method.objective != "sft":
        obstacle = f"objective {method.objective}, which compares with the base"
    elif lora.dora:
        obstacle = "dora, which trains the magnitudes of the base's weights"
    if obstacle and lora.initialization == "pissa":
        raise invalid(
            "InvalidInitialization",
            f"method.lora.initialization pissa moves a part of the base's weights into the adapter and cannot be used with {obstacle}: "
            "use initialization default",
            param="method.lora.initialization",
        )


def check_targets(names: list[str]) -> None:
    """Raises StageFailure for all-linear in a list with other names, in which PEFT takes it for the name of a module."""
    if ALL[0] in names and names != ALL:
        raise invalid(
            "InvalidTargetModules",
            f"method.lora.targetModules has all-linear, which selects every linear layer except the head, and {len(names) - 1} more: list "
            "it alone, or list names of modules",
            param="method.lora.targetModules",
        )


def check_rank(lora: spec.Lora, layers: Layers) -> None:
    """Raises StageFailure where a weight has fewer singular components than the adapter takes out of it."""
    rank = lora.rank or 0
    small = sorted(name for name, shape in layers.items() if min(shape) < rank)
    if lora.initialization == "pissa" and small:
        raise invalid(
            "InvalidRank",
            f"method.lora.rank {rank} is larger than {small[0]} ({' x '.join(map(str, layers[small[0]]))}) allows with initialization "
            f"pissa: set a rank of at most {min(min(layers[name]) for name in small)}",
            param="method.lora.rank",
        )


def left_alone(model: Any) -> list[str]:
    """Names of linear layers that get no adapter although the spec says all-linear.

    Those that compute something else than a product (routers that return several tensors), and those of Mamba whose weights the
    kernel reads directly.
    """
    from torch import nn

    linear = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    mamba = model.config.model_type in MAMBA
    return [name for name, module in linear if not is_product(module) or (mamba and name.endswith("out_proj"))]


def is_product(module: Any) -> bool:
    """Whether the forward pass of a linear layer is nn.Linear's, inherited or written again (Falcon)."""
    import torch
    import torch.nn.functional as F

    if type(module).forward is torch.nn.Linear.forward:
        return True
    some = torch.ones(1, module.in_features, dtype=module.weight.dtype, device=module.weight.device)
    try:
        with torch.no_grad():
            answer = module(some)
    except (TypeError, RuntimeError, ValueError):  # it takes more than one tensor, or another shape
        return False
    return (
        isinstance(answer, torch.Tensor)
        and answer.shape == (1, module.out_features)
        and torch.allclose(answer, F.linear(some, module.weight, module.bias), atol=1e-2)
    )


LORA = Lora()
