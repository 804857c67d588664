"""Which examples an optimizer step has, and how they are assigned to ranks and micro-batches.

The examples of a step depend on seed, epoch and step, not on the number of processes, so that a run has the same losses with another
world size. Every rank gets the same number of micro-batches, because a rank with one more forward pass would wait for its peers
indefinitely. Knows lengths, not tokens; does not import torch.
"""

from dataclasses import dataclass, field
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from finetune_trainer.workspace.prepared import ResolvedHyperparameters

Counts = NDArray[np.int64]
Layout = Literal["packed", "padded", "alone"]
"""How the examples of a micro-batch are laid out: concatenated in one row, padded to the longest, or one example per micro-batch."""
STEPS_LOOKED_AT = 64
"""Steps at the start of a run whose micro-batches stand for all."""


class Measured(Protocol):
    """Rows with known lengths."""

    lengths: Counts
    supervised: Counts


@dataclass(frozen=True)
class MicroBatch:
    """The examples of one forward pass."""

    index: int
    """Number within the step over all ranks; independent of the world size."""
    examples: tuple[int, ...]
    """Row numbers."""
    filler: bool = False
    """True for an unsupervised copy of row 0 that keeps this rank in step with its peers."""
    step: int = 0
    """Number of the step in the run, from 0."""


@dataclass(frozen=True)
class Step:
    """One optimizer step."""

    ranks: tuple[tuple[MicroBatch, ...], ...]
    """The micro-batches of each rank, in order."""
    tokens: int
    """Tokens of the step's examples over all ranks."""
    supervised: int
    """Supervised tokens (or rows): what the sum of losses is divided by."""


@dataclass
class StepPlan:
    """All steps of a run: `step(epoch, number)` is a pure function of the fields."""

    lengths: Counts
    """Tokens of each row."""
    supervised: Counts
    """What the loss is averaged over: supervised tokens of each row, or 1 per row."""
    batch_size: int
    """Examples per step over all ranks; the last step of an epoch takes the rest."""
    token_budget: int
    """Maximum tokens of a micro-batch of several examples, including padding; a longer example forms its own micro-batch."""
    seed: int
    world: int = 1
    layout: Layout = "packed"
    shuffle: bool = True
    """False: every epoch has the rows in their order."""
    _order: tuple[int, Counts] | None = field(default=None, init=False, repr=False)

    @classmethod
    def of(cls, hyper: ResolvedHyperparameters, rows: Measured, world: int, layout: Layout) -> Self:
        """The plan of a run on these rows."""
        return cls(rows.lengths, rows.supervised, hyper.batch_size, hyper.micro_batch_tokens, hyper.seed, world, layout, hyper.shuffle)

    @property
    def steps_per_epoch(self) -> int:
        """Steps in one pass over the rows."""
        return -(-len(self.lengths) // self.batch_size)

    def examples(self, epoch: int, number: int) -> Counts:
        """Row numbers of step `number` (from 0) of `epoch` (from 0)."""
        return self._epoch_order(epoch)[number * self.batch_size : (number + 1) * self.batch_size]

    def step(self, epoch: int, number: int) -> Step:
        """The examples of a step, assigned to all ranks."""
        rows = self.examples(epoch, number)
        return Step(
            ranks=deal(self.bins(rows), self.world, epoch * self.steps_per_epoch + number),
            tokens=int(self.lengths[rows].sum()),
            supervised=int(self.supervised[rows].sum()),
        )

    def halved_budget(self) -> int | None:
        """The token budget that halves the largest micro-batch; None where that is a single example, which cannot be divided."""
        largest = self.largest_micro_batch()
        return largest // 2 if largest > int(self.lengths.max()) else None

    def largest_micro_batch(self) -> int:
        """Tokens, including padding, of the largest one of the first steps or the longest example."""
        steps = [self.step(0, number) for number in range(min(self.steps_per_epoch, STEPS_LOOKED_AT))]
        return max(int(self.lengths.max()), *(self._size(batch) for step in steps for rank in step.ranks for batch in rank))

    def accumulation(self) -> int:
        """Micro-batches of a step on one rank, at most, in the first steps."""
        steps = [self.step(0, number) for number in range(min(self.steps_per_epoch, STEPS_LOOKED_AT))]
        return max(len(rank) for step in steps for rank in step.ranks)

    def _size(self, batch: MicroBatch) -> int:
        """Tokens of a micro-batch, including padding."""
        lengths = self.lengths[list(batch.examples)]
        return int(lengths.max()) * len(lengths) if self.layout == "padded" else int(lengths.sum())

    def tokens_before(self, global_step: int) -> int:
        """Tokens of all steps before `global_step` (from 0)."""
        epochs, steps = divmod(global_step, self.steps_per_epoch)
        rows = self._epoch_order(epochs)[: steps * self.batch_size]
        return epochs * int(self.lengths.sum()) + int(self.lengths[rows].sum())

    def _epoch_order(self, epoch: int) -> Counts:
        if not self.shuffle:
            return np.arange(len(self.lengths))
        if self._order is None or self._order[0] != epoch:
            generator = np.random.Generator(np.random.PCG64([self.seed, epoch]))
            self._order = (epoch, generator.permutation(len(self.lengths)))
        return self._order[1]

    def bins(self, rows: Counts) -> list[list[int]]:
        """Divides rows into a multiple of `world` bins, the most expensive first; all but the first may be empty."""
        return self._padded_bins(rows) if self.layout == "padded" else self._packed_bins(rows)

    def _packed_bins(self, rows: Counts) -> list[list[int]]:
        limit = max(self.token_budget, int(self.lengths[rows].max()))
        count = -(-int(self.lengths[rows].sum()) // limit) if self.layout == "packed" else len(rows)
        while True:
            count = -(-count // self.world) * self.world
            bins = fill(rows, self.lengths, count)
            if count >= len(rows) or self._fits(bins):
                return bins
            count += max(1, count // 32)

    def _fits(self, bins: list[list[int]]) -> bool:
        return all(len(bin) < 2 or self.lengths[bin].sum() <= self.token_budget for bin in bins)

    def _padded_bins(self, rows: Counts) -> list[list[int]]:
        """As few bins as the budget allows, then as even as possible."""
        needed = len(cut(rows, self.lengths, self.token_budget))
        count = -(-needed // self.world) * self.world
        low, high = 1, self.token_budget
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if len(cut(rows, self.lengths, middle)) <= count else (middle + 1, high)
        bins = cut(rows, self.lengths, high)
        bins.sort(key=lambda bin: -len(bin) * int(self.lengths[bin[0]]))  # stable: equal bins stay in order of length
        return bins + [[] for _ in range(count - len(bins))]


def validation_sample(rows: int, most: int, seed: int) -> Counts:
    """At most `most` of the numbers below `rows`: always the same ones, in ascending order."""
    return np.sort(np.random.Generator(np.random.PCG64([seed, 0, 1])).permutation(rows)[:most])


def validation_share(hyper: ResolvedHyperparameters, rows: Measured, rank: int, world: int, layout: Layout) -> tuple[MicroBatch, ...]:
    """A rank's micro-batches of the validation sample. Which rows form one does not depend on the world size, so that neither does the
    sum of their losses."""
    plan = StepPlan.of(hyper, rows, 1, layout)
    bins = plan.bins(validation_sample(len(rows.lengths), hyper.validation_examples, hyper.seed))
    return deal([*bins, *([] for _ in range(-len(bins) % world))], world)[rank]


def cut(rows: Counts, lengths: Counts, budget: int) -> list[list[int]]:
    """Bins of rows of similar length, the longest first, each of at most `budget` tokens when padded to its longest row."""
    bins: list[list[int]] = []
    for row in sorted(rows.tolist(), key=lambda row: (-int(lengths[row]), row)):
        if bins and (len(bins[-1]) + 1) * int(lengths[bins[-1][0]]) <= budget:
            bins[-1].append(row)
        else:
            bins.append([row])
    return bins


def fill(rows: Counts, lengths: Counts, count: int) -> list[list[int]]:
    """Puts rows into `count` bins, the longest first into the lightest bin; returns the heaviest bin first."""
    bins: list[list[int]] = [[] for _ in range(count)]
    loads = np.zeros(count, dtype=np.int64)
    for row in sorted(rows.tolist(), key=lambda row: (-int(lengths[row]), row)):
        lightest = int(loads.argmin())
        bins[lightest].append(row)
        loads[lightest] += lengths[row]
    return [bins[place] for place in np.argsort(-loads, kind="stable")]


def deal(bins: list[list[int]], world: int, step: int = 0) -> tuple[tuple[MicroBatch, ...], ...]:
    """Assigns bins to ranks in snake order (0 1 2, 2 1 0, ...), so that no rank gets the heavier bin of every round."""
    hands: list[list[MicroBatch]] = [[] for _ in range(world)]
    for index, rows in enumerate(bins):
        turn, place = divmod(index, world)
        rank = place if turn % 2 == 0 else world - 1 - place
        hands[rank].append(MicroBatch(index, tuple(rows) or (0,), not rows, step))
    return tuple(map(tuple, hands))
