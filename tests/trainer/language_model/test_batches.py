"""Batches for scoring: every supervised token is scored once, within the budget."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from finetune_trainer.language_model.batch import pad
from finetune_trainer.language_model.rows import Rows
from finetune_trainer.learner import scored_tokens
from finetune_trainer.step_plan import cut
from tests.trainer.conftest import write_rows

pytestmark = pytest.mark.trainer
ROWS = st.lists(st.lists(st.tuples(st.integers(1, 99), st.booleans()), min_size=1, max_size=30), max_size=20)


@given(ROWS, st.integers(1, 80))
def test_every_target_once(pairs: list[list[tuple[int, bool]]], budget: int) -> None:
    """The targets of all batches are the supervised tokens, each after its own predecessor; only a single row is over the budget."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.arrow")
        write_rows(path, {"input_ids": [[t for t, _ in row] for row in pairs], "loss_mask": [[s for _, s in row] for row in pairs]})
        rows = Rows(path)
        expected = sorted((row[i - 1][0], row[i][0]) for row in pairs for i in range(1, len(row)) if row[i][1])
        assert rows.supervised.sum() == len(expected)
        seen: list[tuple[int, int]] = []
        for places in cut(np.flatnonzero(rows.supervised), rows.lengths, budget):
            batch = pad(rows, places)
            input_ids, attention_mask = batch.inputs["input_ids"], batch.inputs["attention_mask"]
            assert input_ids.numel() <= budget or len(input_ids) == 1
            assert attention_mask.flatten()[batch.keep].all()
            seen += zip(input_ids.flatten()[batch.keep].tolist(), batch.targets.tolist(), strict=True)
        assert sorted(seen) == expected


@pytest.mark.parametrize("micro_batch, expected", [(60, 60), (1024, 1024), (8192, 1024)])
def test_a_cpu_scores_no_more_at_once_than_a_cpu_trains(micro_batch: int, expected: int) -> None:
    """Also where a GPU has trained with large micro-batches."""
    assert scored_tokens(torch.nn.Linear(1, 1), micro_batch) == expected
