"""The interface of a fine-tuning method, an entry of the registry METHODS.

prepare asks for defaults and sizes and runs without torch, so a method imports torch, transformers and PEFT inside the functions
that train and publish call.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from finetune_api.resources.learning import Precision
from finetune_api.run_config import RunMethod
from finetune_trainer.failure import invalid
from finetune_trainer.families import Family

Layers = Mapping[str, tuple[int, int]]
"""Linear layers of a model by module name: (outputs, inputs)."""
FP32 = 4
BYTES: dict[Precision, int] = {"bf16": 2, "fp16": 2, "tf32": FP32, "fp32": FP32}
"""Of a number in memory: tf32 is how products of fp32 numbers are computed."""
DTYPES: dict[Precision, str] = {"bf16": "bfloat16", "fp16": "float16", "tf32": "float32", "fp32": "float32"}
"""torch's names."""
FORWARD = 2
"""Floating point operations of a forward pass, per parameter and token."""


class Decide(Protocol):
    """Records a hyperparameter with its reason and returns its value: the given one, or the automatic one if that is None."""

    def __call__(self, name: str, given: Any, automatic: Any, reason: str) -> Any: ...


class TrainingMethod(Protocol):
    """What is trained, what is frozen, what it costs, and what is published.

    `settings` is the spec's method as `resolve` returned it.
    """

    name: str
    """As specs write it: method.type."""
    title: str
    """For messages: "LoRA"."""
    trains_base: bool
    """The base's own weights are trained, in fp32. Otherwise they are frozen, and what is trained comes on top."""
    quantized: bool
    """The frozen base is quantised by bitsandbytes."""
    published: Literal["adapter", "full"]
    """Type of the FineTunedModel."""
    folder: str
    """Folder of the trained weights in the workspace."""
    learning_rate_scale: float
    """Factor on the automatic learning rate, which is that of adapters."""
    weight_decay: float
    """Default of hyperparameters.weightDecay."""
    operations: int
    """Floating point operations per parameter of the base and token, forward and backward."""

    def obstacle(self, family: Family) -> str:
        """Why models of a family cannot be trained this way, "" if they can."""

    def resolve(self, given: RunMethod, examples: int, decide: Decide) -> RunMethod:
        """The settings with a value for everything that the method uses, for so many training examples."""

    def adapted(self, layers: Layers, settings: RunMethod) -> Layers:
        """The layers that get an adapter. Raises StageFailure for a target module that the model does not have."""

    def trained(self, parameters: int, layers: Layers, settings: RunMethod) -> int:
        """Number of trained parameters, out of the base's number of parameters and its linear layers."""

    def written(self, parameters: int, layers: Layers, settings: RunMethod) -> int:
        """Number of values in the files that `save` writes."""

    def inputs(self, layers: Layers, settings: RunMethod) -> int:
        """Values of a token that go into the adapters of all layers and are kept for the backward pass, each counted by itself."""

    def kept(self, layers: Layers, settings: RunMethod) -> int:
        """Values of a token that the adapters of all layers keep for the backward pass, beside their inputs."""

    def base_bytes(self, parameters: int, layers: Layers, settings: RunMethod, precision: Precision) -> int:
        """Bytes of the base's weights in memory. Trained parameters take 4 (weight) and 4 (gradient) bytes each, and what the
        optimizer keeps."""

    def undivided_bytes(self, layers: Layers, settings: RunMethod, precision: Precision) -> int:
        """Those of `base_bytes` that every rank holds, also if the ranks divide the weights among themselves."""

    def loading(self, precision: Precision) -> dict[str, Any]:
        """Arguments of from_pretrained for the base, "dtype" (a name of torch's) at least."""

    def prepare(self, model: Any, settings: RunMethod, task_type: str, whole: list[str]) -> Any:
        """The model in training form: requires_grad is set on what is trained. New weights depend on torch's seed alone.

        `task_type` is PEFT's (CAUSAL_LM, SEQ_CLS, TOKEN_CLS); modules in `whole` are new and always trained.
        """

    def save(self, model: Any, folder: Path, weights: Iterable[tuple[str, Any]]) -> None:
        """Writes what was trained; `weights` are the names and tensors of the whole model's state."""

    def restore(self, model: Any, folder: Path) -> None:
        """Loads what `save` wrote into a model that `prepare` returned; raises StageFailure where the names differ."""

    def merge(self, base: Any, trained: Path) -> Any:
        """The base with the adapter merged into it, in eval mode; uses up `base`. Only for methods that publish an adapter."""


def check_names(folder: Path, absent: Collection[str], unknown: Collection[str]) -> None:
    """Raises StageFailure for a checkpoint that lacks weights of the model (`absent`), or has others (`unknown`).

    Loading the rest would continue from the base's weights without a word.
    """
    if absent or unknown:
        names = [f"{folder} lacks {name}" for name in sorted(absent)] + [f"the model has no {name}" for name in sorted(unknown)]
        raise invalid(
            "CheckpointMismatch",
            f"the checkpoint {folder} is not of this model: {len(absent)} of its tensors are missing, {len(unknown)} are unknown. Remove "
            "the checkpoint to resume from an older one",
            details=names[:20],
        )
