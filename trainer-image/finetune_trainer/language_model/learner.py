"""Training of a language model: the next token of packed examples, at the supervised positions only."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import nn

from finetune_trainer.distributed.world import World
from finetune_trainer.failure import invalid
from finetune_trainer.language_model.batch import PackedRow, pack
from finetune_trainer.language_model.packing import packing_error, packing_is_exact
from finetune_trainer.language_model.rows import Rows
from finetune_trainer.methods import Method
from finetune_trainer.methods.gradient_checkpointing import enable_gradient_checkpointing
from finetune_trainer.prepared import Prepared
from finetune_trainer.step_plan import MicroBatch, StepPlan


class LanguageModelling:
    """An Objective."""

    def __init__(self, prepared: Prepared, method: Method, rows: Path) -> None:
        self._prepared = prepared
        self._method = method
        self._rows = Rows(rows)
        self._packed = True

    def load(self) -> nn.Module:
        """See load_language_model."""
        model = load_language_model(self._prepared, self._method)
        self._head = SupervisedHead(model)
        return model

    def plan(self, model: nn.Module, world: World) -> StepPlan:
        """Packed rows, unless this model lets packed examples see each other."""
        precision = self._prepared.hyperparameters.precision
        error = packing_error(model, self._rows, world.device, precision)
        (inexact,) = world.any(not packing_is_exact(error, precision))
        self._packed = not inexact
        if world.is_first:
            how = "one example per row, because packed rows would not be" if inexact else "packed rows are"
            print(f"train: {how} exact for this model (largest relative logit difference {error:.1e})", flush=True)
        return StepPlan.of(self._prepared.hyperparameters, self._rows, world.size, "alone" if inexact else "packed")

    def batch(self, examples: MicroBatch) -> PackedRow:
        """One packed row."""
        return pack(self._rows, examples)

    def loss_sum(self, model: nn.Module, batch: PackedRow) -> torch.Tensor:
        """Cross entropy over supervised tokens."""
        return self._head.loss_sum(model, batch, packed=self._packed)


def load_language_model(prepared: Prepared, method: Method) -> nn.Module:
    """The base in the method's training form. New weights depend on the seed alone."""
    from transformers import AutoModelForCausalLM

    hyper, base = prepared.hyperparameters, prepared.base_path
    try:
        model = AutoModelForCausalLM.from_pretrained(base, **method.loading(hyper.precision), local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, SafetensorError) as exc:
        raise invalid("BaseModelUnreadable", f"cannot load the base model from {base}: {exc}", param="base.source") from exc
    if head_of(model) is None:
        raise invalid("BaseModelWithoutHead", f"the base model {type(model).__name__} has no language model head", param="base.source")
    if hyper.gradient_checkpointing:
        enable_gradient_checkpointing(model)
    torch.manual_seed(hyper.seed)
    return method.prepare(model, prepared.lora, "CAUSAL_LM", [])  # type: ignore[no-any-return]


def head_of(model: Any) -> nn.Module | None:
    """The layer that makes logits, of a model with or without an adapter."""
    head: nn.Module | None = model.get_output_embeddings()
    return head


class SupervisedHead:
    """Lets the language model head see the supervised positions only: logits are the largest thing in a forward pass."""

    def __init__(self, model: nn.Module) -> None:
        self._keep: torch.Tensor | None = None
        head = head_of(model)
        assert head is not None  # load_language_model refuses others
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
