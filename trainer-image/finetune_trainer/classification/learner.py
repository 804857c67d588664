"""Training of a classifier: the labels of texts or of their tokens, several examples side by side."""

from pathlib import Path

import torch
from torch import nn

from finetune_trainer.classification.batch import PaddedBatch, logits_asked, loss_sum
from finetune_trainer.classification.labelling import ClassifierLearner, Labelling
from finetune_trainer.classification.model import load_classifier
from finetune_trainer.classification.rows import LabelledRows
from finetune_trainer.distributed.world import World
from finetune_trainer.methods import Method
from finetune_trainer.methods.gradient_checkpointing import enable_gradient_checkpointing
from finetune_trainer.prepared import Prepared
from finetune_trainer.step_plan import MicroBatch, StepPlan

TASK_TYPES: dict[ClassifierLearner, str] = {"sequence": "SEQ_CLS", "token": "TOKEN_CLS"}
"""What PEFT calls the learners."""


class Classifying:
    """An Objective."""

    def __init__(self, prepared: Prepared, method: Method, rows: Path, labelling: Labelling) -> None:
        self._prepared = prepared
        self._method = method
        self._labelling = labelling
        self._rows = LabelledRows(rows, labelling)

    def load(self) -> nn.Module:
        """The base with a head for the labels; the head and what else is new is trained whole, whatever the method."""
        hyper, method = self._prepared.hyperparameters, self._method
        self._base = load_classifier(Path(self._prepared.base_path), self._labelling, hyper.seed)
        if hyper.gradient_checkpointing:
            enable_gradient_checkpointing(self._base.model)
        self._base.model.to(getattr(torch, method.loading(hyper.precision)["dtype"]))
        torch.manual_seed(hyper.seed)
        task_type = TASK_TYPES[self._labelling.learner]
        model: nn.Module = method.prepare(self._base.model, self._prepared.lora, task_type, self._base.head_modules)
        for parameter in model.parameters():
            if parameter.requires_grad:  # what is trained is kept in fp32; PEFT does so for its own layers only
                parameter.data = parameter.data.float()
        return model

    def plan(self, model: nn.Module, world: World) -> StepPlan:
        """Rows of similar length side by side."""
        if world.is_first:
            print(f"train: a classifier with {self._base.head}", flush=True)
        return StepPlan.of(self._prepared.hyperparameters, self._rows, world.size, "padded")

    def batch(self, examples: MicroBatch) -> PaddedBatch:
        """Several rows, padded on the right."""
        rows = [self._rows[row] for row in examples.examples]
        return self._base.collator.batch(rows, examples.index, filler=examples.filler)

    def loss_sum(self, model: nn.Module, batch: PaddedBatch) -> torch.Tensor:
        """Cross entropy over examples or labelled tokens; with several labels the mean of their binary cross entropies."""
        return loss_sum(logits_asked(model, batch), batch.targets)
