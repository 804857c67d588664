"""Full fine-tuning: all weights of the base are trained, in fp32.

In 16 bits small updates would round to nothing; with precision bf16 or fp16 the training loop computes with copies in it (autocast).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from finetune_api.resources.learning import Precision
from finetune_api.run_config import RunMethod
from finetune_trainer.families import Family
from finetune_trainer.methods.method import FP32, Decide, Layers, check_names


class Full:
    """A TrainingMethod."""

    name = "full"
    title = "full fine-tuning"
    trains_base = True
    published: Literal["adapter", "full"] = "full"
    folder = "model"
    learning_rate_scale = 0.1
    weight_decay = 0.01
    quantized = False
    operations = 6  # Kaplan et al. 2020, section 2.1: 2 forward, 4 backward

    def obstacle(self, family: Family) -> str:
        return family.full

    def resolve(self, given: RunMethod, examples: int, decide: Decide) -> RunMethod:
        return given

    def adapted(self, layers: Layers, settings: RunMethod) -> Layers:
        return {}

    def trained(self, parameters: int, layers: Layers, settings: RunMethod) -> int:
        return parameters

    def written(self, parameters: int, layers: Layers, settings: RunMethod) -> int:
        return self.trained(parameters, layers, settings)

    def inputs(self, layers: Layers, settings: RunMethod) -> int:
        return 0

    def kept(self, layers: Layers, settings: RunMethod) -> int:
        return 0

    def base_bytes(self, parameters: int, layers: Layers, settings: RunMethod, precision: Precision) -> int:
        return FP32 * parameters

    def undivided_bytes(self, layers: Layers, settings: RunMethod, precision: Precision) -> int:
        return 0

    def loading(self, precision: Precision) -> dict[str, Any]:
        return {"dtype": "float32"}

    def prepare(self, model: Any, settings: RunMethod, task_type: str, whole: list[str]) -> Any:
        return model

    def save(self, model: Any, folder: Path, weights: Iterable[tuple[str, Any]]) -> None:
        """With the names of the model's state: those that transformers saves by default differ for many families (fused experts)."""
        state = dict(weights)  # which save_pretrained uses up
        dtype = next(tensor.dtype for tensor in state.values() if tensor.is_floating_point())
        model.save_pretrained(folder, state_dict=state, save_original_format=False)
        model.config.dtype = dtype  # the model may have trained in another
        model.config.save_pretrained(folder)

    def restore(self, model: Any, folder: Path) -> None:
        from safetensors.torch import load_file

        state, unknown = model.state_dict(), set[str]()
        absent = set(state)
        for file in sorted(folder.glob("*.safetensors")):
            found = model.load_state_dict(load_file(file), strict=False)
            absent &= set(found.missing_keys)
            unknown |= set(found.unexpected_keys)
        loaded = {state[name].data_ptr() for name in state.keys() - absent}
        absent = {name for name in absent if state[name].data_ptr() not in loaded}  # tied weights are stored once
        check_names(folder, absent, unknown)

    def merge(self, base: Any, trained: Path) -> Any:
        raise NotImplementedError(f"{self.title} has no adapter")


FULL = Full()
