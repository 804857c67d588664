"""The step plan: the same examples whatever the world, each exactly once per epoch, the same number of passes on every rank."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_trainer.step_plan import Layout, MicroBatch, Step, StepPlan

pytestmark = pytest.mark.unit


def make_plan(
    lengths: list[int], *, batch: int = 4, budget: int = 64, world: int = 1, layout: Layout = "packed", seed: int = 3
) -> StepPlan:
    """A plan in which all but the first token of each row is supervised."""
    counts = np.array(lengths, dtype=np.int64)
    return StepPlan(counts, counts - 1, batch, budget, seed, world, layout)


def examples(step: Step) -> list[int]:
    """Row numbers of a step over all ranks, sorted."""
    return sorted(row for rank in step.ranks for batch in rank if not batch.filler for row in batch.examples)


plans = st.fixed_dictionaries(
    {
        "lengths": st.lists(st.integers(1, 90), min_size=1, max_size=60),
        "batch": st.integers(1, 20),
        "budget": st.integers(1, 300),
        "world": st.integers(1, 9),
        "layout": st.sampled_from(["packed", "padded", "alone"]),
        "seed": st.integers(0, 5),
    }
)


@given(arguments=plans, epoch=st.integers(0, 3))
@settings(max_examples=200, deadline=None, database=None)
def test_each_example_is_seen_exactly_once_per_epoch(arguments: dict[str, object], epoch: int) -> None:
    """For every world, budget and batch size, and however examples lie in a micro-batch."""
    plan = make_plan(**arguments)  # type: ignore[arg-type]
    seen = Counter(row for number in range(plan.steps_per_epoch) for row in examples(plan.step(epoch, number)))
    assert seen == Counter(range(len(plan.lengths)))


@given(arguments=plans, epoch=st.integers(0, 3))
@settings(max_examples=200, deadline=None, database=None)
def test_ranks_keep_in_step(arguments: dict[str, object], epoch: int) -> None:
    """Every rank has the same number of micro-batches, each of its own number, and none is without tokens."""
    plan = make_plan(**arguments)  # type: ignore[arg-type]
    for number in range(plan.steps_per_epoch):
        step = plan.step(epoch, number)
        assert len(step.ranks) == plan.world
        assert len({len(rank) for rank in step.ranks}) == 1
        batches = [batch for rank in step.ranks for batch in rank]
        assert sorted(batch.index for batch in batches) == list(range(len(batches)))
        assert all(batch.examples for batch in batches)


def tokens(plan: StepPlan, batch: MicroBatch) -> int:
    """Tokens of a forward pass, padding included."""
    lengths = plan.lengths[list(batch.examples)]
    return int(lengths.max()) * len(lengths) if plan.layout == "padded" else int(lengths.sum())


@given(arguments=plans)
@settings(max_examples=200, deadline=None, database=None)
def test_the_token_budget_holds(arguments: dict[str, object]) -> None:
    """Only an example that is longer by itself exceeds it; padding counts."""
    plan = make_plan(**arguments)  # type: ignore[arg-type]
    most = 0 if plan.layout == "alone" else plan.token_budget
    assert all(len(batch.examples) == 1 or tokens(plan, batch) <= most for rank in plan.step(0, 0).ranks for batch in rank)


@given(arguments=plans, world=st.integers(1, 9), budget=st.integers(1, 300))
@settings(max_examples=100, deadline=None, database=None)
def test_a_step_does_not_depend_on_the_world(arguments: dict[str, object], world: int, budget: int) -> None:
    """Examples, tokens and supervised tokens of a step are functions of seed, epoch and step alone."""
    here, there = make_plan(**arguments), make_plan(**(arguments | {"world": world, "budget": budget}))  # type: ignore[arg-type]
    for number in range(here.steps_per_epoch):
        one, other = here.step(1, number), there.step(1, number)
        assert (examples(one), one.tokens, one.supervised) == (examples(other), other.tokens, other.supervised)
        assert one.tokens == sum(int(here.lengths[row]) for row in examples(one))


@pytest.mark.parametrize(("one", "other"), [((1, 4), (2, 2)), ((2, 3), (3, 2)), ((1, 6), (6, 1))])
def test_equal_numbers_of_bins_are_equal_bins(one: tuple[int, int], other: tuple[int, int]) -> None:
    """Where world x micro-batches is equal, bins and their numbers are: dropout, seeded by them, is equal too."""
    lengths = [30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19]

    def bins(world: int, accumulation: int) -> dict[int, tuple[int, ...]]:
        plan = make_plan(lengths, batch=12, budget=294 // (world * accumulation) + 14, world=world)
        step = plan.step(0, 0)
        assert {len(rank) for rank in step.ranks} == {accumulation}
        return {batch.index: batch.examples for rank in step.ranks for batch in rank}

    assert bins(*one) == bins(*other)


def test_epochs_and_seeds_shuffle() -> None:
    """Every epoch and every seed has an order of its own, and the same one every time."""
    lengths = [10] * 32
    orders = {(seed, epoch): make_plan(lengths, seed=seed, batch=32).examples(epoch, 0).tolist() for seed in (1, 2) for epoch in (0, 1)}
    assert len({tuple(order) for order in orders.values()}) == 4
    assert orders[1, 1] == make_plan(lengths, seed=1, batch=32).examples(1, 0).tolist()


def test_the_last_step_takes_what_is_left() -> None:
    """16 rows in batches of 6: the third step has 4 examples, and an idle rank runs a filler without supervision."""
    plan = make_plan([10] * 16, batch=6, budget=10, world=5)
    assert [len(plan.examples(0, number)) for number in range(plan.steps_per_epoch)] == [6, 6, 4]
    fillers = [batch for rank in plan.step(0, 2).ranks for batch in rank if batch.filler]
    assert [batch.examples for batch in fillers] == [(0,)]


@pytest.mark.parametrize("steps", [0, 1, 4, 5, 9])
def test_tokens_before_a_step_are_those_of_the_steps_before_it(steps: int) -> None:
    """The token count after a resume is a function of the step, over epochs too."""
    plan = make_plan(list(range(1, 15)), batch=4)
    seen = sum(plan.step(*divmod(number, plan.steps_per_epoch)).tokens for number in range(steps))
    assert plan.tokens_before(steps) == seen


@pytest.mark.parametrize(
    ("layout", "world", "budget", "limit"),
    [("packed", 2, 1024, 1.01), ("packed", 4, 1024, 1.02), ("packed", 8, 512, 1.06), ("padded", 2, 1024, 1.06), ("padded", 4, 512, 1.12)],
)
def test_ranks_are_evenly_loaded(layout: Layout, world: int, budget: int, limit: float) -> None:
    """The busiest rank has little more to do than the mean of them, over 30 steps of rows of 10 to 256 tokens."""
    lengths = np.random.default_rng(0).integers(10, 257, size=1000).tolist()
    plan = make_plan(lengths, batch=32, budget=budget, world=world, layout=layout)
    steps = [plan.step(0, number) for number in range(30)]
    loads = np.array([[sum(tokens(plan, batch) for batch in rank if not batch.filler) for rank in step.ranks] for step in steps])
    assert loads.max(axis=1).sum() / loads.mean(axis=1).sum() < limit


def test_padding_is_little() -> None:
    """Rows of similar length lie side by side: less than a sixth of what a forward pass sees is padding."""
    lengths = np.random.default_rng(0).integers(10, 257, size=1000).tolist()
    plan = make_plan(lengths, batch=32, budget=1024, layout="padded")
    steps = [plan.step(0, number) for number in range(30)]
    seen = sum(tokens(plan, batch) for step in steps for rank in step.ranks for batch in rank)
    assert seen / sum(step.tokens for step in steps) < 1.2


def test_without_shuffle_every_epoch_has_the_rows_in_their_order() -> None:
    """For a curriculum: steps, and the tokens before each, follow the file."""
    plan = StepPlan(np.arange(1, 11), np.ones(10, np.int64), 4, 100, seed=3, shuffle=False)
    assert [plan.examples(epoch, number).tolist() for epoch in (0, 1) for number in range(3)] == 2 * [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert plan.tokens_before(4) == 55 + 1 + 2 + 3 + 4


@given(arguments=plans)
@settings(max_examples=200, deadline=None, database=None)
def test_half_the_budget_halves_the_largest_micro_batch(arguments: dict[str, object]) -> None:
    """Down to the longest example; where that is the largest already, there is no such budget."""
    plan = make_plan(**arguments)  # type: ignore[arg-type]
    before, longest = largest(plan), max(plan.lengths)
    budget = plan.halved_budget()
    assert (budget is None) == (before <= longest)
    if budget is not None:
        assert largest(replace(plan, token_budget=budget)) <= max(before // 2, longest) < before


def largest(plan: StepPlan) -> int:
    """Tokens of the largest micro-batch of an epoch, with padding."""
    batches = [batch for number in range(plan.steps_per_epoch) for rank in plan.step(0, number).ranks for batch in rank]
    lengths = [plan.lengths[list(batch.examples)] for batch in batches]
    return max(int(found.max()) * len(found) if plan.layout == "padded" else int(found.sum()) for found in lengths)
