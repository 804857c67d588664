"""The Learner of text-embedding: vectors of texts that belong together, several texts side by side."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from finetune_api.resources.learning import Precision
from finetune_api.run_config import RunConfig
from finetune_trainer.classification.model import pad_token
from finetune_trainer.distributed.world import World
from finetune_trainer.embedding.batch import TextBatch, text_batch
from finetune_trainer.embedding.folder import write_modules
from finetune_trainer.embedding.loss import Share, Vectors, contrastive_losses, cosines, shares, similarities, similarity_losses
from finetune_trainer.embedding.model import embed_batch, freeze_unused, load_encoder
from finetune_trainer.embedding.rows import EmbeddingRows
from finetune_trainer.embedding.score import EmbeddedTexts, scores_of
from finetune_trainer.learner import Begin, Learner, Show, Tally, autocast, dtype_of, scored_tokens
from finetune_trainer.methods import method_of
from finetune_trainer.methods.cast import cast_weights
from finetune_trainer.methods.gradient_checkpointing import enable_gradient_checkpointing
from finetune_trainer.statistics.statistic import Measured
from finetune_trainer.step_plan import MicroBatch, StepPlan, deal, validation_sample
from finetune_trainer.tokenizer import copy_tokenizer
from finetune_trainer.workspace.prepared import Pooling, Prepared
from finetune_trainer.workspace.workspace import Workspace

NEAR = 0.1
"""A similarity that differs less than this from its score counts as right in validations."""


class EmbeddingLearner(Learner):
    """A Learner."""

    def __init__(self, config: RunConfig, prepared: Prepared, workspace: Workspace) -> None:
        self._config = config
        self._prepared = prepared
        self._workspace = workspace
        self._pooling: Pooling = prepared.pooling or "mean"
        self._shares: dict[int, Share] = {}
        """Of the micro-batches of the current step, by index."""

    @cached_property
    def _rows(self) -> EmbeddingRows:
        return EmbeddingRows(self._workspace.train_rows)

    @cached_property
    def _held_out(self) -> EmbeddingRows:
        return EmbeddingRows(self._workspace.validation_rows, self._config.evaluation.max_examples)

    def load_base(self) -> nn.Module:
        """The base without a head."""
        hyper, method = self._prepared.hyperparameters, method_of(self._config)
        loaded = load_encoder(Path(self._prepared.base_path))
        self._pad_token = pad_token(loaded.config)
        if hyper.gradient_checkpointing:
            enable_gradient_checkpointing(loaded, hyper.gradient_checkpointing_policy)
        cast_weights(loaded, getattr(torch, method.loading(hyper.precision)["dtype"]))
        torch.manual_seed(hyper.seed)
        model: nn.Module = method.prepare(loaded, self._prepared.method, "FEATURE_EXTRACTION", [])
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        with autocast("cpu", hyper.precision):
            freeze_unused(model, self._pad_token)
        return model

    def plan(self, model: nn.Module, world: World) -> StepPlan:
        """Rows of similar length side by side."""
        self._world = world
        if world.is_first:
            how = "by their scores" if self._rows.scored else "each among all texts of a step"
            print(f"train: pairs of texts are learned {how}; vectors are the {self._pooling} over tokens", flush=True)
        return StepPlan.of(self._prepared.hyperparameters, self._rows, world.data_size, "padded")

    def batch(self, examples: MicroBatch) -> TextBatch:
        """All texts of the rows, padded on the right."""
        rows = [self._rows[row] for row in examples.examples]
        return text_batch(rows, self._pad_token, examples.index, filler=examples.filler)

    def before_step(self, model: nn.Module, batches: Sequence[TextBatch], begin: Begin) -> None:
        """Computes the vectors of the whole step, and each micro-batch's share of its loss."""
        if self._rows.scored:
            return
        mine: dict[int, Vectors] = {}
        with torch.no_grad():
            for batch in batches:
                begin(batch)
                found = embed_batch(model, batch.to(self._world.device), self._pooling)
                mine[batch.index] = Vectors(batch.rows, found.cpu(), batch.keys)
        self._shares = shares({index: part for share in self._world.gather(mine) for index, part in share.items()})

    def loss_sum(self, model: nn.Module, batch: TextBatch) -> torch.Tensor:
        """Over rows. Without scores its gradient is that of the step's loss: see loss.py."""
        found = embed_batch(model, batch, self._pooling)
        if self._rows.scored:
            return similarity_losses(Vectors(batch.rows, found, batch.keys), batch.scores).sum() + 0 * found.sum()
        share = self._shares[batch.index]
        through = (found * share.gradient.to(found)).sum()
        return through + (share.loss - through.detach())

    def validation_batches(self, world: World) -> Iterator[TextBatch]:
        """Groups of as many rows as a step has, in the order of the file."""
        for examples in deal(self._groups(world.data_size), world.data_size)[world.data_rank]:
            rows = [self._held_out[row] for row in examples.examples]
            yield text_batch(rows, self._pad_token, examples.index, filler=examples.filler)

    def _groups(self, world: int) -> list[list[int]]:
        hyper = self._prepared.hyperparameters
        sample = validation_sample(len(self._held_out), hyper.validation_examples, hyper.seed).tolist()
        groups = [sample[begin : begin + hyper.batch_size] for begin in range(0, len(sample), hyper.batch_size)]
        return groups + [[] for _ in range(-len(groups) % world)]

    def tally(self, model: nn.Module, batch: TextBatch) -> Tally:
        """A row is right if its positive is the closest text of the group, or its similarity is near its score."""
        texts = torch.from_numpy(np.arange(max(len(batch.keys), self._parts)) % len(batch.keys)).to(batch.keys.device)
        vectors = torch.cat([embed_batch(model, batch.part(some), self._pooling) for some in texts.tensor_split(self._parts)])
        found = Vectors(batch.rows, vectors[: len(batch.keys)], batch.keys)
        if not batch.rows:
            return Tally(0.0, 0, 0)
        if self._held_out.scored:
            right = (cosines(found) - batch.scores).abs() < NEAR
            return Tally(float(similarity_losses(found, batch.scores).sum()), int(right.sum()), batch.rows)
        near = similarities(found)
        right = near.argmax(dim=-1) == torch.arange(batch.rows, device=near.device)
        return Tally(float(contrastive_losses(found).sum()), int(right.sum()), batch.rows)

    @cached_property
    def _parts(self) -> int:
        """Forward passes of each group: the same number everywhere, since ranks may have to make them together."""
        hyper = self._prepared.hyperparameters
        together = max(1, hyper.micro_batch_tokens // self._held_out.longest)
        return -(-3 * min(hyper.batch_size, len(self._held_out)) // together)

    @property
    def examples(self) -> int:
        """Validation rows."""
        return len(self._held_out)

    @property
    def tokens(self) -> int:
        """Of their texts."""
        return self._held_out.tokens

    def load(self, folder: Path, precision: Precision, device: str) -> Any:
        """An encoder."""
        model = load_encoder(folder)
        self._pad_token = pad_token(model.config)
        return cast_weights(model, dtype_of(precision)).to(device)

    def score(self, model: Any, show: Show) -> Measured:
        """Loss, and recall among all validation texts or the correlation with scores."""
        hyper = self._prepared.hyperparameters
        budget = scored_tokens(model, hyper.micro_batch_tokens)
        found = EmbeddedTexts(model, self._held_out, self._pad_token, self._pooling, budget, show)
        return scores_of(found, self._held_out, hyper.batch_size)

    def save(self, model: Any, folder: Path) -> None:
        """With what sentence-transformers needs."""
        model.save_pretrained(folder)
        copy_tokenizer(Path(self._prepared.base_path), folder, self._prepared.chat_template)
        write_modules(folder, self._pooling, int(model.config.hidden_size))
