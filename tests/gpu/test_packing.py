"""Rows that hold several examples: the same losses and gradients, and no length is slow the first time."""

from collections.abc import Callable
from pathlib import Path
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


@pytest.mark.bf16
def test_a_new_length_is_not_slow(small: Path) -> None:
    """Every micro-batch has another length: attention is not computed by cuDNN, which plans for each of them and takes a second more."""
    model: Any = AutoModelForCausalLM.from_pretrained(small, dtype=torch.float32)
    model.to("cuda").train()
    ids = torch.randint(5, SMALL.vocabulary, (1, 64), device="cuda")
    positions = torch.arange(32).repeat(2)[None].to("cuda")
    with torch.profiler.profile() as profile, torch.autocast("cuda", torch.bfloat16):
        model(input_ids=ids, position_ids=positions, use_cache=False)
    operations = {event.key for event in profile.key_averages()}
    assert any("scaled_dot_product" in operation for operation in operations)
    assert not any("cudnn_attention" in operation for operation in operations)
