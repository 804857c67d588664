"""The Learner of chat, completion and summarization: the next token of packed examples, at the supervised positions only."""

import contextlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from finetune_api.resources.learning import Precision
from finetune_api.resources.method import Sft
from finetune_api.run_config import RunConfig
from finetune_trainer.custom_loss import CustomLoss
from finetune_trainer.distributed.world import World
from finetune_trainer.language_model.batch import MaskedRows, TokenBatch, pack
from finetune_trainer.language_model.head import SupervisedHead, loss_sum
from finetune_trainer.language_model.model import load_base, load_model, save_model
from finetune_trainer.language_model.noise import EmbeddingNoise
from finetune_trainer.language_model.packing import packing_error, packing_is_exact
from finetune_trainer.language_model.rows import Rows
from finetune_trainer.language_model.score import score
from finetune_trainer.learner import Learner, Show, Tally, scored_tokens
from finetune_trainer.methods import method_of
from finetune_trainer.statistics.statistic import Measured
from finetune_trainer.step_plan import Layout, MicroBatch, StepPlan, validation_share
from finetune_trainer.tokenizer import copy_tokenizer
from finetune_trainer.workspace.prepared import Prepared
from finetune_trainer.workspace.workspace import Workspace


class LanguageLearner(Learner):
    """A Learner."""

    def __init__(self, config: RunConfig, prepared: Prepared, workspace: Workspace, loss: CustomLoss | None = None) -> None:
        """`loss` takes the place of cross entropy in the training."""
        self._custom_loss = loss
        self._config = config
        self._prepared = prepared
        self._workspace = workspace
        self._packed = True
        self._noise: EmbeddingNoise | None = None

    @cached_property
    def _rows(self) -> Rows:
        return Rows(self._workspace.train_rows)

    @cached_property
    def _held_out(self) -> Rows:
        return Rows(self._workspace.validation_rows, self._config.evaluation.max_examples)

    def load_base(self) -> nn.Module:
        """See model.load_base."""
        model = load_base(self._prepared, method_of(self._config))
        self._head = SupervisedHead(model)
        if (alpha := self._prepared.hyperparameters.neftune_noise) is not None:
            self._noise = EmbeddingNoise(model, alpha, self._prepared.hyperparameters.seed)
        return model

    def noise(self, batch: TokenBatch) -> contextlib.AbstractContextManager[None]:
        """Around a forward pass that trains; evaluations and reference passes have none."""
        return contextlib.nullcontext() if self._noise is None else self._noise.during(batch)

    def plan(self, model: nn.Module, world: World) -> StepPlan:
        """Packed rows, if this model keeps packed examples apart."""
        return StepPlan.of(self._prepared.hyperparameters, self._rows, world.data_size, self.layout(model, world, self._rows))

    def layout(self, model: nn.Module, world: World, rows: MaskedRows) -> Layout:
        """Packed, unless this model lets packed examples see each other; the first rows are the test."""
        precision = self._prepared.hyperparameters.precision
        error = packing_error(model, rows, precision)
        (inexact,) = world.any(not packing_is_exact(error, precision))
        self._packed = not inexact
        if world.is_first:
            how = "one example per row, because packed rows would not be" if inexact else "packed rows are"
            print(f"train: {how} exact for this model (largest relative logit difference {error:.1e})", flush=True)
        return "alone" if inexact else "packed"

    def batch(self, examples: MicroBatch) -> TokenBatch:
        """One packed row; an unpacked one needs no position ids, which not every model takes."""
        return pack(self._rows, examples, positions=self._packed)

    def loss_sum(self, model: nn.Module, batch: TokenBatch) -> torch.Tensor:
        """Cross entropy over supervised tokens, or the user's own loss."""
        with self.noise(batch):
            logits = self._head.logits(model, batch)
        if self._custom_loss is not None:
            return self._custom_loss.sum(logits.float(), batch.targets, batch.numbers())
        return loss_sum(logits, batch.targets, (self._config.method.sft or Sft()).label_smoothing)

    def validation_batches(self, world: World) -> Iterator[TokenBatch]:
        """Laid out like the training rows."""
        layout: Layout = "packed" if self._packed else "alone"
        for examples in validation_share(self._prepared.hyperparameters, self._held_out, world.data_rank, world.data_size, layout):
            yield pack(self._held_out, examples, positions=self._packed)

    def tally(self, model: nn.Module, batch: TokenBatch) -> Tally:
        """Cross entropy and the most likely token at the supervised positions."""
        logits = self._head.logits(model, batch)
        correct = int((logits.argmax(-1) == batch.targets).sum())
        return Tally(float(loss_sum(logits, batch.targets)), correct, len(batch.targets))

    @property
    def examples(self) -> int:
        """Validation rows."""
        return len(self._held_out)

    @property
    def tokens(self) -> int:
        """Supervised tokens."""
        return int(self._held_out.supervised.sum())

    def load(self, folder: Path, precision: Precision, device: str) -> Any:
        """A causal language model."""
        return load_model(folder, precision, device)

    def score(self, model: Any, show: Show) -> Measured:
        """Loss and perplexity."""
        return score(model, self._held_out, scored_tokens(model, self._prepared.hyperparameters.micro_batch_tokens), show)

    def save(self, model: Any, folder: Path) -> None:
        """With the chat template that it was trained with."""
        base = Path(self._prepared.base_path)
        save_model(model, base, self._prepared.eos_token_ids, folder)
        copy_tokenizer(base, folder, self._prepared.chat_template)
