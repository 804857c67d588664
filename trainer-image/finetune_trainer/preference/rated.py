"""The Learner of objectives that rate answers: one answer a row, desirable or not, and how far the model is from the base."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from finetune_trainer.distributed.world import World
from finetune_trainer.learner import Begin, Show, Tally, Watch, scored_tokens
from finetune_trainer.objectives.objective import Answers, Compared
from finetune_trainer.preference.answers import log_probs
from finetune_trainer.preference.batch import AnswerBatch, answer_batch
from finetune_trainer.preference.learner import PreferenceLearner
from finetune_trainer.preference.mismatched import MismatchedAnswers, divergence
from finetune_trainer.preference.reference import Values
from finetune_trainer.preference.rows import ComparedRows, read_labels
from finetune_trainer.preference.score import answer_log_probs, rated_scores, right
from finetune_trainer.statistics.statistic import Measured
from finetune_trainer.step_plan import StepPlan

Labels = NDArray[np.bool_]
Share = tuple[float, int]
"""Sum of the log-ratios of some mismatched answers, and how many they are."""


class RatedLearner(PreferenceLearner):
    """A Learner. The divergence is that of the whole step, so that no loss depends on how the step is divided."""

    _mismatched_reference: Values | None = None
    _held_out_mismatched_reference: Values | None = None
    """Of the mismatched answers, as `_reference` and `_held_out_reference` are of the rows' own."""
    _kl = 0.0
    """Of the current step, or validation."""

    @cached_property
    def _labels(self) -> Labels:
        return read_labels(self._workspace.train_rows)

    @cached_property
    def _held_out_labels(self) -> Labels:
        return read_labels(self._workspace.validation_rows, self._config.evaluation.max_examples)

    @cached_property
    def _mismatched(self) -> ComparedRows:
        hyper = self._prepared.hyperparameters
        return ComparedRows(MismatchedAnswers(self._workspace.train_rows, hyper.max_sequence_length, hyper.seed))

    @cached_property
    def _held_out_mismatched(self) -> ComparedRows:
        hyper, most = self._prepared.hyperparameters, self._config.evaluation.max_examples
        return ComparedRows(MismatchedAnswers(self._workspace.validation_rows, hyper.max_sequence_length, hyper.seed, most))

    def plan(self, model: nn.Module, world: World) -> StepPlan:
        """As for pairs. The mismatched answers have other lengths, and a plan of their own with the same rows in each step."""
        plan = super().plan(model, world)
        self._mismatched_plan = StepPlan.of(self._prepared.hyperparameters, self._mismatched, world.data_size, self._layout)
        self._rewards = torch.zeros(3, device=world.device)
        return plan

    def before_steps(self, model: nn.Module, plan: StepPlan, step: int, watch: Watch) -> None:
        """The base's log-probabilities of the mismatched answers, too."""
        super().before_steps(model, plan, step, watch)
        steps = self._epoch(self._mismatched_plan)
        self._mismatched_reference = self._referenced("train-mismatched", model, self._mismatched, steps, watch, resumed=step > 0)
        if self._prepared.hyperparameters.validation_every is not None:
            sample = self._validation_steps(self._held_out_mismatched)
            self._held_out_mismatched_reference = self._referenced(
                "validation-mismatched", model, self._held_out_mismatched, sample, watch, resumed=step > 0
            )

    def before_step(self, model: nn.Module, batches: Sequence[AnswerBatch], begin: Begin) -> None:
        """The divergence of the step, without dropout."""
        if not batches:  # none could be made: the loop says why
            return
        place = divmod(batches[0].tokens.step, self._mismatched_plan.steps_per_epoch)
        share: Share = (0.0, 0)
        model.eval()
        with torch.no_grad():
            for examples in self._mismatched_plan.step(*place).ranks[self._world.data_rank]:
                batch = answer_batch(self._mismatched, examples, self._mismatched_reference, packed=self._packed, mismatched=True)
                begin(batch, examples.examples)
                share = self._with_ratios(share, model, batch.to(self._world.device))
        model.train()
        self._kl = divergence(self._world.gather_shares(share))
        labels = self._labels[self._mismatched_plan.examples(*place)]
        self._counts = int((~labels).sum()), int(labels.sum())

    def _with_ratios(self, share: Share, model: nn.Module, batch: AnswerBatch) -> Share:
        """`share` and the mismatched answers of a batch."""
        ratios = log_probs(self._head, model, batch).double() - batch.reference.double()
        return share[0] + float(ratios.sum()), share[1] + len(ratios)

    def _rated(self, model: nn.Module, batch: AnswerBatch, labels: Labels) -> tuple[Compared, torch.Tensor]:
        """Losses and rewards of a batch's answers, and their labels as +1 and -1."""
        found = log_probs(self._head, model, batch)
        desirable = torch.from_numpy(labels[list(batch.rows)]).to(found.device)
        answers = Answers(found, batch.reference, batch.counts, desirable, torch.tensor(self._kl, device=found.device))
        return self._objective.losses(self._config.method, answers), torch.where(desirable, 1.0, -1.0)

    def loss_sum(self, model: nn.Module, batch: AnswerBatch) -> torch.Tensor:  # type: ignore[override]
        """Of the objective, over rows."""
        with self.noise(batch.tokens):
            compared, signs = self._rated(model, batch, self._labels)
        rewards = signs * compared.rewards[:, 0]
        undesirable, desirable = self._counts
        each = torch.where(signs > 0, 1 / max(1, desirable), 1 / max(1, undesirable)) * (desirable + undesirable)
        kl = torch.full_like(rewards, self._kl)
        self._rewards += torch.stack([right(rewards).sum(), (each * rewards).sum(), kl.sum()])
        return compared.losses.sum()

    def step_figures(self) -> dict[str, float]:
        """Reward accuracy, divergence and, of a step with both labels, the difference between their mean rewards."""
        accuracy, margin, kl = self._rewards.tolist()
        self._rewards.zero_()
        return {"reward_accuracy": accuracy, "kl": kl} | ({"reward_margin": margin} if all(self._counts) else {})

    def validation_batches(self, world: World) -> Iterator[AnswerBatch]:  # type: ignore[override]
        """First the mismatched answers of the sample, because the losses of the rows depend on all of them; their tallies are empty."""
        self._share: Share = (0.0, 0)
        mismatched = self._validation_share(world, self._held_out_mismatched)
        for examples in mismatched:
            reference = self._held_out_mismatched_reference
            yield answer_batch(self._held_out_mismatched, examples, reference, packed=self._packed, mismatched=True)
        self._kl = divergence(world.gather_shares(self._share))
        for batch in super().validation_batches(world):
            yield batch.after(len(mismatched) * world.data_size)

    def tally(self, model: nn.Module, batch: AnswerBatch) -> Tally:  # type: ignore[override]
        """An answer is right if the model finds it more likely than the base and it is desirable, or less likely and it is not."""
        if batch.mismatched:
            self._share = self._with_ratios(self._share, model, batch)
            return Tally(0.0, 0, 0)
        compared, signs = self._rated(model, batch, self._held_out_labels)
        better = signs * compared.rewards[:, 0] > 0
        return Tally(float(compared.losses.sum()), int(better.sum()), len(better))

    def score(self, model: Any, show: Show) -> Measured:
        """The first model that is scored is the base, which the others are compared with."""
        budget, mismatched = scored_tokens(model, self._prepared.hyperparameters.micro_batch_tokens), self._held_out_mismatched.answers
        found = answer_log_probs(model, self._held_out_answers, budget, show)
        others = answer_log_probs(model, mismatched, budget, show)
        if self._held_out_reference is None or self._held_out_mismatched_reference is None:
            self._held_out_reference, self._held_out_mismatched_reference = found, others
        ratios = (others - self._held_out_mismatched_reference)[:, 0]
        rows, reference = self._held_out_answers, self._held_out_reference
        return rated_scores(self._objective, self._config.method, rows, found, reference, self._held_out_labels, ratios)
