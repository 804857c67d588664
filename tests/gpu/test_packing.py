"""Rows that hold several examples: the same losses and gradients, and no length is slow the first time."""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from finetune_api.resources.learning import Precision
from finetune_trainer.language_model.rows import Rows
from tests.gpu.gradients import packed_against_single
from tests.gpu.models import SMALL, random_mistral
from tests.trainer.train.runs import write_rows

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]
WINDOW = 8
"""Shorter than most of the rows, which have 6 to 30 tokens."""
LENGTHS = range(512, 2048, 73)
WARM = 3
"""Steps that load libraries and kernels."""


@pytest.fixture(scope="session")
def windowed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Mistral with a sliding window."""
    return random_mistral(tmp_path_factory.mktemp("windowed") / "mistral", SMALL, WINDOW)


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """22 rows."""
    path = tmp_path_factory.mktemp("rows") / "train.arrow"
    write_rows(path, 22, SMALL.vocabulary)
    return Rows(path)


@pytest.mark.parametrize(
    ("precision", "difference", "cosine"), [("fp32", 1e-4, 0.99999), pytest.param("bf16", 2e-3, 0.999, marks=pytest.mark.bf16)]
)
@pytest.mark.parametrize("model", ["small", "windowed"], ids=["grouped queries", "sliding window"])
def test_packed_and_single(
    model: str,
    precision: Precision,
    difference: float,
    cosine: float,
    rows: Rows,
    request: pytest.FixtureRequest,
    figures: Callable[..., None],
) -> None:
    """Sixteen examples in one row have the loss and the gradient of the examples one by one."""
    found, alike = packed_against_single(request.getfixturevalue(model), rows, 16, precision, "cuda")
    figures(loss_difference=found, gradient_cosine=alike)
    assert found <= difference
    assert alike >= cosine


def seconds(model: Any, length: int) -> float:
    """Of a forward and backward pass over a packed row of two examples."""
    ids = torch.randint(5, SMALL.vocabulary, (1, length), device="cuda")
    positions = torch.cat([torch.arange(length // 2), torch.arange(length - length // 2)])[None].to("cuda")
    torch.cuda.synchronize()
    began = time.monotonic()
    with torch.autocast("cuda", torch.bfloat16):
        logits = model(input_ids=ids, position_ids=positions, use_cache=False).logits
    logits.float().mean().backward()
    torch.cuda.synchronize()
    return time.monotonic() - began


@pytest.mark.bf16
def test_a_new_length_is_not_slow(small: Path, figures: Callable[..., None]) -> None:
    """Every micro-batch has another length. A library that plans for each of them, as cuDNN's attention does, takes a second more."""
    model: Any = AutoModelForCausalLM.from_pretrained(small, dtype=torch.float32)
    model.to("cuda").train()
    for _ in range(WARM):
        seconds(model, LENGTHS[-1])
    first, again = ([seconds(model, length) for length in LENGTHS] for _ in range(2))
    slower = median(new / known for new, known in zip(first, again, strict=True))
    figures(lengths=len(LENGTHS), median_first_against_second_time=slower)
    assert slower <= 1.5
