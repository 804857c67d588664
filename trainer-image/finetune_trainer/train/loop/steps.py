"""The optimizer steps as a dataloader gives them to one rank: one item is one step, a list of micro-batches."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader, Dataset

from finetune_trainer.learner import Learner, ModelBatch
from finetune_trainer.step_plan import StepPlan


@dataclass(frozen=True)
class RankStep:
    """One optimizer step as one rank computes it."""

    batches: list[ModelBatch]
    """Fewer than `rows`, if one could not be made."""
    rows: list[tuple[int, ...]]
    """Of the training file, of each micro-batch; none of a filler, whose example another rank has."""
    tokens: int
    """Of the step over all ranks."""
    supervised: int
    """Of the step over all ranks."""
    failure: Exception | None = None
    """What making the next micro-batch raised: an error in a data loader reaches the loop without its rows."""


def step_loader(plan: StepPlan, learner: Learner, rank: int) -> DataLoader[RankStep]:
    """The steps of an epoch, for one rank. The sampler is what a resume skips by, so that skipped steps read no data."""
    sampler: Any = StepSampler(plan.steps_per_epoch)
    return DataLoader(StepDataset(plan, learner, rank), batch_sampler=sampler, collate_fn=lambda batch: batch[0])


class StepDataset(Dataset[RankStep]):
    """A rank's share of step (epoch, number)."""

    def __init__(self, plan: StepPlan, learner: Learner, rank: int) -> None:
        self._plan = plan
        self._learner = learner
        self._rank = rank

    def __getitem__(self, place: tuple[int, int]) -> RankStep:
        step = self._plan.step(*place)
        mine = step.ranks[self._rank]
        rows = [() if examples.filler else examples.examples for examples in mine]
        batches: list[ModelBatch] = []
        try:
            batches += map(self._learner.batch, mine)
        except Exception as exc:
            return RankStep(batches, rows, step.tokens, step.supervised, exc)
        return RankStep(batches, rows, step.tokens, step.supervised)

    def __len__(self) -> int:
        return len(self._plan.lengths)


class StepSampler:
    """A batch sampler whose batches are steps."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._epoch = 0
        self.batch_sampler = self  # where Trainer looks for set_epoch

    def set_epoch(self, epoch: int) -> None:
        """Called by Trainer before each epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return iter([[(self._epoch, number)] for number in range(self._steps)])
