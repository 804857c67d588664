"""The model that is trained: loaded from the base folder, given an adapter, and asked for the losses that count.

Knows nothing of steps, ranks or files other than the base's.
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import nn

from finetune_api.resources.learning import Lora, Method
from finetune_trainer.failure import invalid
from finetune_trainer.prepared import ResolvedHyperparameters
from finetune_trainer.train.micro_batch import PackedRow


def load_model(base: Path, method: Method, hyper: ResolvedHyperparameters) -> nn.Module:
    """The base in training form. New adapter weights depend on the seed alone.

    A frozen base is held in the run's precision. Weights that are trained are held in fp32: in bf16 small updates
    would round to nothing; with precision bf16 the loop computes with bf16 copies of them (autocast).
    """
    from transformers import AutoModelForCausalLM

    dtype = torch.bfloat16 if method.type == "lora" and hyper.precision == "bf16" else torch.float32
    try:
        model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, SafetensorError) as exc:
        raise invalid("BaseModelUnreadable", f"cannot load the base model from {base}: {exc}", param="base.source") from exc
    if head_of(model) is None:
        raise invalid("BaseModelWithoutHead", f"the base model {type(model).__name__} has no language model head", param="base.source")
    if method.type == "full":
        return model
    torch.manual_seed(hyper.seed)
    return add_adapter(model, method.lora or Lora())


def add_adapter(model: nn.Module, lora: Lora) -> nn.Module:
    """Wraps the model into PEFT's; only the adapter is trained."""
    from peft import LoraConfig, get_peft_model

    everything = lora.target_modules == ["all-linear"]
    rank = lora.rank or 16
    scale = float(lora.alpha or 2 * rank)
    alpha: Any = int(scale) if scale.is_integer() else scale  # most readers of adapters expect an int
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=rank,
        lora_alpha=alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear" if everything else list(lora.target_modules),
    )
    try:
        return get_peft_model(model, config)
    except ValueError as exc:
        raise invalid(
            "UnknownTargetModules",
            f"method.lora.targetModules {lora.target_modules} do not fit the base model: {exc}",
            param="method.lora.targetModules",
        ) from exc


def head_of(model: Any) -> nn.Module | None:
    """The layer that makes logits, of a model with or without an adapter."""
    head: nn.Module | None = model.get_output_embeddings()
    return head


class SupervisedHead:
    """Lets the language model head see the supervised positions only: logits are the largest thing in a forward pass."""

    def __init__(self, model: nn.Module) -> None:
        self._keep: torch.Tensor | None = None
        head = head_of(model)
        assert head is not None  # load_model refuses others
        head.register_forward_pre_hook(self._select)

    def _select(self, _: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        return None if self._keep is None else (inputs[0][:, self._keep], *inputs[1:])

    def loss_sum(self, model: nn.Module, row: PackedRow, *, packed: bool) -> torch.Tensor:
        """Sum of the token losses (nats) of a row, a scalar; 0 with a gradient of zeros where nothing is supervised.

        No attention mask and no cache: with either of them transformers lets packed examples see each other. Rows
        that are not packed need no position ids, which not every model takes.
        """
        positions = {"position_ids": row.position_ids} if packed else {}
        self._keep = row.keep
        try:
            logits = model(input_ids=row.input_ids, use_cache=False, **positions).logits[0]
        finally:
            self._keep = None
        return F.cross_entropy(logits.float(), row.targets, reduction="sum")
