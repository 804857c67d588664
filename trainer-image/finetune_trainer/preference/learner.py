"""The Learner of objectives that compare answers: the log-probabilities of a row's answers, and a loss of them."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from finetune_api.run_config import RunConfig
from finetune_trainer.distributed.world import World
from finetune_trainer.language_model.head import SupervisedHead
from finetune_trainer.language_model.learner import LanguageLearner
from finetune_trainer.learner import Show, Tally, Watch, scored_tokens
from finetune_trainer.methods import method_of
from finetune_trainer.objectives import objective_of
from finetune_trainer.objectives.objective import Answers, Compared
from finetune_trainer.preference.answers import log_probs
from finetune_trainer.preference.batch import AnswerBatch, answer_batch
from finetune_trainer.preference.reference import ReferenceFiles, ReferencePass, Values, without_adapters
from finetune_trainer.preference.rows import AnswerRows, ComparedRows
from finetune_trainer.preference.score import answer_log_probs, right, scores
from finetune_trainer.statistics.statistic import Measured
from finetune_trainer.step_plan import MicroBatch, StepPlan, validation_share
from finetune_trainer.workspace.prepared import Prepared
from finetune_trainer.workspace.workspace import Workspace


class PreferenceLearner(LanguageLearner):
    """A Learner."""

    def __init__(self, config: RunConfig, prepared: Prepared, workspace: Workspace) -> None:
        super().__init__(config, prepared, workspace)
        self._objective = objective_of(config)
        self._reference: Values | None = None
        """Of the training rows, during the training."""
        self._held_out_reference: Values | None = None
        """Of the validation rows: of the sample during the training, of all after it."""

    @cached_property
    def _compared(self) -> ComparedRows:
        return ComparedRows(AnswerRows(self._workspace.train_rows))

    @cached_property
    def _held_out_answers(self) -> AnswerRows:
        return AnswerRows(self._workspace.validation_rows, self._config.evaluation.max_examples)

    @cached_property
    def _held_out_compared(self) -> ComparedRows:
        return ComparedRows(self._held_out_answers)

    def load_base(self) -> nn.Module:
        """Without the base's own dropout, as in TRL: it would be taken for a preference."""
        model = super().load_base()
        switch_off_dropout(model)
        return model

    def plan(self, model: nn.Module, world: World) -> StepPlan:
        """A row with all its answers is one example."""
        self._world = world
        self._layout = self.layout(model, world, self._compared.answers)
        self._rewards = torch.zeros(2, device=world.device)
        return StepPlan.of(self._prepared.hyperparameters, self._compared, world.data_size, self._layout)

    def before_steps(self, model: nn.Module, plan: StepPlan, step: int, watch: Watch) -> None:
        """Computes the base's log-probabilities, or reads those of an earlier attempt."""
        if not self._objective.needs_reference:
            return
        self._reference = self._referenced("train", model, self._compared, self._epoch(plan), watch, resumed=step > 0)
        if self._prepared.hyperparameters.validation_every is not None:
            sample = self._validation_steps(self._held_out_compared)
            self._held_out_reference = self._referenced("validation", model, self._held_out_compared, sample, watch, resumed=step > 0)

    def _epoch(self, plan: StepPlan) -> list[tuple[MicroBatch, ...]]:
        """This rank's micro-batches of every step that an epoch has."""
        return [plan.step(0, number).ranks[self._world.data_rank] for number in range(plan.steps_per_epoch)]

    def _validation_steps(self, rows: ComparedRows) -> list[tuple[MicroBatch, ...]]:
        """This rank's share of the sample of a validation, each micro-batch as a step."""
        return [(examples,) for examples in self._validation_share(self._world, rows)]

    def _referenced(
        self, side: str, model: nn.Module, rows: ComparedRows, steps: Sequence[Sequence[MicroBatch]], watch: Watch, *, resumed: bool
    ) -> Values:
        """The base's log-probabilities for the rows of one side."""
        files = self._reference_files(side)
        missing = self._world.any(self._world.is_first and files.finished() is None)[0]
        base, head = self._base(model, trained=resumed and missing)
        base.eval()
        with torch.no_grad(), without_adapters(base):
            return self._pass(base, head, rows, steps, watch).run(files)

    def _reference_files(self, side: str) -> ReferenceFiles:
        return ReferenceFiles(self._workspace.reference / side, self._prepared.identity)

    def _base(self, model: nn.Module, *, trained: bool) -> tuple[nn.Module, SupervisedHead]:
        """The model itself, which is the base without its adapters, unless its own weights have been trained since."""
        if not (trained and method_of(self._config).trains_base):
            return model, self._head
        base = self.load(Path(self._prepared.base_path), "fp32", str(self._world.device))
        return base, SupervisedHead(base)

    def _pass(
        self, model: nn.Module, head: SupervisedHead, rows: ComparedRows, steps: Sequence[Sequence[MicroBatch]], watch: Watch
    ) -> ReferencePass:
        def compute(examples: MicroBatch) -> Values:
            batch = answer_batch(rows, examples, None, packed=self._packed).to(self._world.device)
            return log_probs(head, model, batch).double().cpu().numpy()

        return ReferencePass(len(rows), steps, compute, self._world, watch)

    def batch(self, examples: MicroBatch) -> AnswerBatch:  # type: ignore[override]
        """All answers of the rows."""
        return answer_batch(self._compared, examples, self._reference, packed=self._packed)

    def loss_sum(self, model: nn.Module, batch: AnswerBatch) -> torch.Tensor:  # type: ignore[override]
        """Of the objective, over rows."""
        with self.noise(batch.tokens):
            compared = self._compare(model, batch)
        margins = compared.rewards[:, 0] - compared.rewards[:, 1]
        self._rewards += torch.stack([right(margins).sum(), margins.sum()])
        return compared.losses.sum()

    def _compare(self, model: nn.Module, batch: AnswerBatch) -> Compared:
        found = log_probs(self._head, model, batch)
        return self._objective.losses(self._config.method, Answers(found, batch.reference, batch.counts))

    def step_figures(self) -> dict[str, float]:
        """Reward accuracy and margin."""
        accuracy, margin = self._rewards.tolist()
        self._rewards.zero_()
        return {"reward_accuracy": accuracy, "reward_margin": margin}

    def validation_batches(self, world: World) -> Iterator[AnswerBatch]:  # type: ignore[override]
        """Laid out like the training rows."""
        for examples in self._validation_share(world, self._held_out_compared):
            yield answer_batch(self._held_out_compared, examples, self._held_out_reference, packed=self._packed)

    def _validation_share(self, world: World, rows: ComparedRows) -> tuple[MicroBatch, ...]:
        return validation_share(self._prepared.hyperparameters, rows, world.data_rank, world.data_size, self._layout)

    def tally(self, model: nn.Module, batch: AnswerBatch) -> Tally:  # type: ignore[override]
        """A pair is right if the preferred answer has the higher reward."""
        compared = self._compare(model, batch)
        better = compared.rewards[:, 0] > compared.rewards[:, 1]
        return Tally(float(compared.losses.sum()), int(better.sum()), len(better))

    @property
    def examples(self) -> int:
        """Validation rows."""
        return len(self._held_out_answers) // self._held_out_answers.answers

    @property
    def tokens(self) -> int:
        """Supervised tokens of all their answers."""
        return int(self._held_out_answers.supervised.sum())

    def score(self, model: Any, show: Show) -> Measured:
        """The first model that is scored is the base, which the others are compared with."""
        rows = self._held_out_answers
        found = answer_log_probs(model, rows, scored_tokens(model, self._prepared.hyperparameters.micro_batch_tokens), show)
        if self._held_out_reference is None:
            self._held_out_reference = found
        reference = self._held_out_reference if self._objective.needs_reference else np.zeros_like(found)
        return scores(self._objective, self._config.method, rows, found, reference)


def switch_off_dropout(model: nn.Module) -> None:
    """That of the base; an adapter's is the spec's."""
    for name, module in model.named_modules():
        if "lora_dropout" in name:
            continue
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0
