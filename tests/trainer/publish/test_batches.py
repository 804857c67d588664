"""Batches for scoring: every token that counts is scored once, within the budget."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from finetune_trainer.language_model.batches import token_batches
from finetune_trainer.language_model.held_out import Row
from finetune_trainer.publish.kind import scored_tokens

pytestmark = pytest.mark.trainer
ROWS = st.lists(st.lists(st.tuples(st.integers(1, 99), st.booleans()), min_size=1, max_size=30), max_size=20)


@given(ROWS, st.integers(1, 80))
def test_every_target_once(pairs: list[list[tuple[int, bool]]], budget: int) -> None:
    """The targets of all batches are the tokens that count, each after its own predecessor; no batch is over budget but a single row."""
    rows = [Row([token for token, _ in row], [counts for _, counts in row]) for row in pairs]
    expected = sorted((row.tokens[i - 1], row.tokens[i]) for row in rows for i in range(1, len(row.tokens)) if row.supervised[i])
    seen: list[tuple[int, int]] = []
    for batch in token_batches(rows, budget):
        assert batch.input_ids.numel() <= budget or len(batch.input_ids) == 1
        assert batch.attention_mask.flatten()[batch.positions].all()
        seen += zip(batch.input_ids.flatten()[batch.positions].tolist(), batch.targets.tolist(), strict=True)
    assert sorted(seen) == expected


@pytest.mark.parametrize("micro_batch, expected", [(60, 60), (1024, 1024), (8192, 1024)])
def test_a_cpu_scores_no_more_at_once_than_a_cpu_trains(micro_batch: int, expected: int) -> None:
    """Also where a GPU has trained with large micro-batches."""
    assert scored_tokens(torch.nn.Linear(1, 1), micro_batch) == expected
