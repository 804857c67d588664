"""What adapters by PEFT have in common: a frozen base in the run's precision, a small file, a merge at the end."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Literal

from finetune_api.resources.learning import Precision
from finetune_api.run_config import RunMethod
from finetune_trainer.failure import invalid
from finetune_trainer.methods.cast import cast_weights
from finetune_trainer.methods.method import BYTES, DTYPES, Layers, check_names

WEIGHTS = "adapter_model.safetensors"


class AdapterMethod:
    """The part of a TrainingMethod that does not depend on the kind of adapter."""

    title: str
    trains_base = False
    published: Literal["adapter", "full"] = "adapter"
    folder = "adapter"
    weight_decay = 0.0
    quantized = False
    operations = 4  # frozen weights need no gradient

    def base_bytes(self, parameters: int, layers: Layers, settings: RunMethod, precision: Precision) -> int:
        return parameters * BYTES[precision]

    def undivided_bytes(self, layers: Layers, settings: RunMethod, precision: Precision) -> int:
        return 0

    def loading(self, precision: Precision) -> dict[str, Any]:
        return {"dtype": DTYPES[precision]}

    def save(self, model: Any, folder: Path, weights: Iterable[tuple[str, Any]]) -> None:
        model.save_pretrained(folder, state_dict=dict(weights))

    def restore(self, model: Any, folder: Path) -> None:
        check_written(model, folder)
        model.load_adapter(folder, model.active_adapter, is_trainable=True)

    def merge(self, base: Any, trained: Path) -> Any:
        """Each weight is rounded once to the base's precision.

        Modules that were trained whole (a classifier's head) replace the base's.
        """
        from peft import PeftModel

        if not (trained / WEIGHTS).exists():
            raise invalid("WorkspaceInvalid", f"{trained} holds no {WEIGHTS}: run the train stage again")
        dtype = next(base.parameters()).dtype
        tuned: Any = PeftModel.from_pretrained(base, str(trained))
        try:
            return cast_weights(merged(tuned), dtype).eval()
        except ValueError as exc:  # PEFT's message for weights that are not finite
            raise invalid(
                "ModelNotFinite", f"the trained adapter holds values that are not finite ({exc}): lower the learning rate"
            ) from exc


def merged(tuned: Any) -> Any:
    """The base model with the adapter in its weights; raises ValueError for weights that are not finite.

    Modules that were trained whole are put in place here: for IA3, PEFT fails to do that with heads of several layers.
    """
    from peft.utils import ModulesToSaveWrapper

    for name, module in list(tuned.named_modules()):
        if isinstance(module, ModulesToSaveWrapper):
            tuned.set_submodule(name, module.modules_to_save[module.active_adapters[0]])
    return tuned.merge_and_unload(safe_merge=True)


def check_written(model: Any, folder: Path) -> None:
    """Raises StageFailure where a saved adapter has other tensors than the model's."""
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    with safe_open(folder / WEIGHTS, "pt") as file:
        written = set(file.keys())
    own = set(get_peft_model_state_dict(model))
    check_names(folder, own - written, written - own)


def layers_named(targets: Collection[str], layers: Layers, param: str) -> Layers:
    """Those with the names, or ends of names, in a list that the spec gives. Raises StageFailure for a name that no layer has."""
    kinds = sorted({name.rpartition(".")[2] for name in layers})
    chosen: dict[str, tuple[int, int]] = {}
    for target in targets:
        matching = {name for name in layers if name == target or name.endswith("." + target)}
        if not matching:
            raise invalid(
                "InvalidTargetModules",
                f"{param}: the model has no linear layer {target!r}; it has {', '.join(kinds[:20])}",
                param=param,
            )
        chosen |= {name: layers[name] for name in matching}
    return chosen


def stores_transposed(model: Any) -> bool:
    """Whether the model has transformers' Conv1D: GPT-2 stores its matrices as (inputs, outputs)."""
    from transformers.pytorch_utils import Conv1D

    return any(isinstance(module, Conv1D) for module in model.modules())
