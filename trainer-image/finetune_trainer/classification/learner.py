"""Training of a classifier: the labels of texts or of their tokens, several examples side by side."""

from pathlib import Path

import torch
from torch import nn

from finetune_trainer.classification.batch import PaddedBatch, logits_asked, loss_sum
from finetune_trainer.classification.labelling import Labelling
from finetune_trainer.classification.model import Classifier, load_classifier
from finetune_trainer.classification.rows import LabelledRows
from finetune_trainer.distributed.world import World
from finetune_trainer.methods.adapter import add_adapter, recompute_activations
from finetune_trainer.prepared import Prepared
from finetune_trainer.step_plan import MicroBatch, StepPlan

TASK_TYPES = {"sequence-classification": "SEQ_CLS", "token-classification": "TOKEN_CLS"}


class Classifying:
    """An Objective."""

    def __init__(self, prepared: Prepared, rows: Path, labelling: Labelling) -> None:
        self._prepared = prepared
        self._labelling = labelling
        self._rows = LabelledRows(rows, labelling)

    def load(self) -> nn.Module:
        """The base with a head for the labels; LoRA trains the head and what else is new with all of its weights."""
        hyper = self._prepared.hyperparameters
        self._base = load_classifier(Path(self._prepared.base_path), self._labelling, hyper.seed)
        if hyper.gradient_checkpointing:
            recompute_activations(self._base.model)
        if self._prepared.lora is None:
            return self._base.model  # type: ignore[no-any-return]
        return self._with_adapter(self._base)

    def _with_adapter(self, base: Classifier) -> nn.Module:
        hyper = self._prepared.hyperparameters
        assert self._prepared.lora is not None
        if hyper.precision == "bf16":
            base.model.to(torch.bfloat16)
        torch.manual_seed(hyper.seed)
        model = add_adapter(base.model, self._prepared.lora, TASK_TYPES[self._labelling.task], base.head_modules)
        for parameter in model.parameters():
            if parameter.requires_grad:  # what is trained is held in fp32; PEFT sees to its own layers only
                parameter.data = parameter.data.float()
        return model

    def plan(self, model: nn.Module, world: World) -> StepPlan:
        """Rows of similar length side by side."""
        if world.is_first:
            print(f"train: {self._labelling.task} with {self._base.head}", flush=True)
        return StepPlan.of(self._prepared.hyperparameters, self._rows, world.size, "padded")

    def batch(self, examples: MicroBatch) -> PaddedBatch:
        """Several rows, padded on the right."""
        rows = [self._rows[row] for row in examples.examples]
        return self._base.collator.batch(rows, examples.index, filler=examples.filler)

    def loss_sum(self, model: nn.Module, batch: PaddedBatch) -> torch.Tensor:
        """Cross entropy over examples or labelled tokens; with several labels the mean of their binary cross entropies."""
        return loss_sum(logits_asked(model, batch), batch.targets)
