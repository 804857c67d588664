"""Which examples an optimizer step is made of, and how they are dealt to ranks and micro-batches.

A step's examples depend on seed, epoch and step alone, never on the number of processes: that is what makes a run
repeat its losses on another world. Every rank gets the same number of micro-batches, because a rank that ran one
forward pass more than its peers would wait for them for ever. Knows lengths, not tokens; knows no torch.
"""

from dataclasses import dataclass, field
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from finetune_trainer.prepared import ResolvedHyperparameters

Counts = NDArray[np.int64]
Layout = Literal["packed", "padded", "alone"]
"""How the examples of a micro-batch lie: one after another in one row, side by side and as wide as the longest of them, or each
is a micro-batch by itself."""


class Measured(Protocol):
    """Rows of which we know how long they are."""

    lengths: Counts
    supervised: Counts


@dataclass(frozen=True)
class MicroBatch:
    """The examples of one forward pass."""

    index: int
    """Number within the step over all ranks: the same bin has the same number on every world size."""
    examples: tuple[int, ...]
    """Row numbers."""
    filler: bool = False
    """True for a copy of row 0 that only keeps this rank in step with its peers: nothing in it is supervised."""


@dataclass(frozen=True)
class Step:
    """One optimizer step as every rank sees it."""

    ranks: tuple[tuple[MicroBatch, ...], ...]
    """The micro-batches of each rank, in the order they are run."""
    tokens: int
    """Tokens of the step's examples over all ranks."""
    supervised: int
    """What the loss is computed on: what the sum of losses is divided by."""


@dataclass
class StepPlan:
    """The whole run's steps: `step(epoch, number)` is a pure function of the fields."""

    lengths: Counts
    """Tokens of each row."""
    supervised: Counts
    """What the loss is a mean over: tokens of each row, or 1 for the row itself."""
    batch_size: int
    """Examples of a step over all ranks; the last step of an epoch takes what is left."""
    token_budget: int
    """Most tokens of a micro-batch of several examples, padding included; a longer example is a micro-batch by itself."""
    seed: int
    world: int = 1
    layout: Layout = "packed"
    _order: tuple[int, Counts] | None = field(default=None, init=False, repr=False)

    @classmethod
    def of(cls, hyper: ResolvedHyperparameters, rows: Measured, world: int, layout: Layout) -> Self:
        """The plan of a run on these rows."""
        return cls(rows.lengths, rows.supervised, hyper.batch_size, hyper.micro_batch_tokens, hyper.seed, world, layout)

    @property
    def steps_per_epoch(self) -> int:
        """Steps until every row was seen once."""
        return -(-len(self.lengths) // self.batch_size)

    def examples(self, epoch: int, number: int) -> Counts:
        """Row numbers of step `number` (from 0) of `epoch` (from 0)."""
        return self._epoch_order(epoch)[number * self.batch_size : (number + 1) * self.batch_size]

    def step(self, epoch: int, number: int) -> Step:
        """The examples of a step, dealt to all ranks."""
        rows = self.examples(epoch, number)
        return Step(
            ranks=deal(self._bins(rows), self.world),
            tokens=int(self.lengths[rows].sum()),
            supervised=int(self.supervised[rows].sum()),
        )

    def tokens_before(self, global_step: int) -> int:
        """Tokens of all steps before `global_step` (from 0)."""
        epochs, steps = divmod(global_step, self.steps_per_epoch)
        rows = self._epoch_order(epochs)[: steps * self.batch_size]
        return epochs * int(self.lengths.sum()) + int(self.lengths[rows].sum())

    def _epoch_order(self, epoch: int) -> Counts:
        if self._order is None or self._order[0] != epoch:
            generator = np.random.Generator(np.random.PCG64([self.seed, epoch]))
            self._order = (epoch, generator.permutation(len(self.lengths)))
        return self._order[1]

    def _bins(self, rows: Counts) -> list[list[int]]:
        """Cuts rows into a multiple of `world` bins, the most expensive first; bins may be empty, but for the first."""
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
        """As few as the budget allows, and then as even as their number allows."""
        needed = len(cut(rows, self.lengths, self.token_budget))
        count = -(-needed // self.world) * self.world
        low, high = 1, self.token_budget
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if len(cut(rows, self.lengths, middle)) <= count else (middle + 1, high)
        bins = cut(rows, self.lengths, high)
        bins.sort(key=lambda bin: -len(bin) * int(self.lengths[bin[0]]))  # stable: equal ones stay in order of length
        return bins + [[] for _ in range(count - len(bins))]


def cut(rows: Counts, lengths: Counts, budget: int) -> list[list[int]]:
    """Rows of similar length together, the longest first, each bin at most `budget` tokens when padded to its longest row."""
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


def deal(bins: list[list[int]], world: int) -> tuple[tuple[MicroBatch, ...], ...]:
    """Deals bins to ranks in snake order (0 1 2, 2 1 0, ...), so that no rank gets the heavier one of every round."""
    hands: list[list[MicroBatch]] = [[] for _ in range(world)]
    for index, rows in enumerate(bins):
        turn, place = divmod(index, world)
        rank = place if turn % 2 == 0 else world - 1 - place
        hands[rank].append(MicroBatch(index, tuple(rows) or (0,), filler=not rows))
    return tuple(map(tuple, hands))
