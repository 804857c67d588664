"""The Learner of sequence-classification and token-classification: labels of texts or of their tokens, several examples side by side."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from finetune_api.resources.learning import Precision
from finetune_api.resources.method import Sft
from finetune_api.run_config import RunConfig
from finetune_trainer.classification.batch import PaddedBatch, classification_loss, logits_asked
from finetune_trainer.classification.labelling import ClassifierName, Labelling
from finetune_trainer.classification.loss import ClassLoss
from finetune_trainer.classification.model import load_classifier
from finetune_trainer.classification.rows import LabelledRows
from finetune_trainer.classification.score import score_classifier
from finetune_trainer.custom_loss import CustomLoss
from finetune_trainer.distributed.world import World
from finetune_trainer.learner import Learner, Show, Tally, dtype_of, scored_tokens
from finetune_trainer.methods import method_of
from finetune_trainer.methods.cast import cast_weights
from finetune_trainer.methods.gradient_checkpointing import enable_gradient_checkpointing
from finetune_trainer.statistics.statistic import Measured
from finetune_trainer.step_plan import MicroBatch, StepPlan, validation_share
from finetune_trainer.tokenizer import copy_tokenizer
from finetune_trainer.workspace.prepared import Prepared
from finetune_trainer.workspace.workspace import Workspace

TASK_TYPES: dict[ClassifierName, str] = {"sequence": "SEQ_CLS", "token": "TOKEN_CLS"}
"""What PEFT calls the learners."""


class ClassifierLearner(Learner):
    """A Learner. Its base is the base model with the head that training starts from: the seed makes it again."""

    def __init__(
        self, config: RunConfig, prepared: Prepared, workspace: Workspace, labelling: Labelling, loss: CustomLoss | None = None
    ) -> None:
        """`loss` takes the place of cross entropy in the training."""
        self._custom_loss = loss
        self._config = config
        self._prepared = prepared
        self._workspace = workspace
        self._labelling = labelling

    @cached_property
    def _rows(self) -> LabelledRows:
        return LabelledRows(self._workspace.train_rows, self._labelling)

    @cached_property
    def _held_out(self) -> LabelledRows:
        return LabelledRows(self._workspace.validation_rows, self._labelling, self._config.evaluation.max_examples)

    def load_base(self) -> nn.Module:
        """The base with a head for the labels; the head and what else is new is trained whole, whatever the method."""
        hyper, method = self._prepared.hyperparameters, method_of(self._config)
        loaded = load_classifier(Path(self._prepared.base_path), self._labelling, hyper.seed)
        self._collator, self._head = loaded.collator, loaded.head
        if hyper.gradient_checkpointing:
            enable_gradient_checkpointing(loaded.model, hyper.gradient_checkpointing_policy)
        cast_weights(loaded.model, getattr(torch, method.loading(hyper.precision)["dtype"]))
        torch.manual_seed(hyper.seed)
        task_type = TASK_TYPES[self._labelling.learner]
        model: nn.Module = method.prepare(loaded.model, self._prepared.method, task_type, loaded.head_modules)
        for parameter in model.parameters():
            if parameter.requires_grad:  # what is trained is kept in fp32; PEFT does so for its own layers only
                parameter.data = parameter.data.float()
        return model

    def plan(self, model: nn.Module, world: World) -> StepPlan:
        """Rows of similar length side by side."""
        labelling = self._labelling
        self._loss = ClassLoss.of(self._config.method.sft or Sft(), labelling, self._rows.label_counts(len(labelling.labels)))
        if world.is_first:
            print(f"train: a classifier with {self._head}", flush=True)
        return StepPlan.of(self._prepared.hyperparameters, self._rows, world.data_size, "padded")

    def batch(self, examples: MicroBatch) -> PaddedBatch:
        """Several rows, padded on the right."""
        rows = [self._rows[row] for row in examples.examples]
        return self._collator.batch(rows, examples.index, filler=examples.filler)

    def loss_sum(self, model: nn.Module, batch: PaddedBatch) -> torch.Tensor:
        """Cross entropy over examples or labelled tokens; with several labels the mean of their binary cross entropies. See ClassLoss.
        Or the user's own loss."""
        logits = logits_asked(model, batch)
        if self._custom_loss is not None:
            return self._custom_loss.sum(logits, batch.targets, batch.numbers())
        return self._loss.sum(logits, batch.targets)

    def validation_batches(self, world: World) -> Iterator[PaddedBatch]:
        """Rows of similar length side by side."""
        for examples in validation_share(self._prepared.hyperparameters, self._held_out, world.data_rank, world.data_size, "padded"):
            rows = [self._held_out[row] for row in examples.examples]
            yield self._collator.batch(rows, examples.index, filler=examples.filler)

    def tally(self, model: nn.Module, batch: PaddedBatch) -> Tally:
        """An answer with several labels is right if all of them are."""
        logits = logits_asked(model, batch)
        right = ((logits > 0) == (batch.targets > 0)).all(-1) if self._labelling.multi_label else logits.argmax(-1) == batch.targets
        return Tally(float(classification_loss(logits, batch.targets)), int(right.sum()), len(batch.targets))

    @property
    def examples(self) -> int:
        """Validation rows."""
        return len(self._held_out)

    @property
    def tokens(self) -> int:
        """Labelled tokens, or all tokens of texts that have labels."""
        return int((self._held_out.supervised if self._labelling.per_token else self._held_out.lengths).sum())

    def load(self, folder: Path, precision: Precision, device: str) -> Any:
        """A classifier; a folder without the run's labels gets the head that training starts from."""
        loaded = load_classifier(folder, self._labelling, self._prepared.hyperparameters.seed)
        self._collator = loaded.collator
        return cast_weights(loaded.model, dtype_of(precision)).to(device)

    def score(self, model: Any, show: Show) -> Measured:
        """Loss, accuracy and F1."""
        budget = scored_tokens(model, self._prepared.hyperparameters.micro_batch_tokens)
        return score_classifier(model, self._held_out, self._collator, budget, show)

    def save(self, model: Any, folder: Path) -> None:
        """With head and labels."""
        model.save_pretrained(folder)
        copy_tokenizer(Path(self._prepared.base_path), folder, self._prepared.chat_template)
