"""Disk space that the later stages need."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from finetune_trainer.artifacts.exporter import ModelSize
from finetune_trainer.failure import StageFailure
from finetune_trainer.prepare.disk_space import Sizes, check_space, estimate, readable
from tests.unit.prepare.run import run_config

LORA = Sizes(ModelSize(1000, trained=100, small_files=10), downloaded=2000, data=50, optimizer=800)
FULL = Sizes(ModelSize(1000, trained=1000, small_files=10), downloaded=0, data=50, optimizer=8000)


@pytest.mark.parametrize(
    "sizes, settings, model, workspace",
    [
        (LORA, {}, 2000 + 400 + 20, 2000 + 50 + 3 * 1200 + 400),
        (LORA, {"export": {"onnx": {}}}, 2000 + 400 + 4000 + 30, 2000 + 50 + 3 * 1200 + 400),
        (replace(LORA, model=replace(LORA.model, precision="fp32")), {}, 4000 + 400 + 20, 2000 + 50 + 3 * 1200 + 400),
        (LORA, {"checkpoints": {"keep": 5}}, 2000 + 400 + 20, 2000 + 50 + 6 * 1200 + 400),
        (FULL, {"method": {"type": "full"}}, 2000 + 10, 50 + 3 * 12000 + 4000),
        (LORA, {"checkpoints": {"keep": 3, "publish": True}}, 4 * (2000 + 400 + 20) + 400, 2000 + 50 + 4 * 1200 + 400),
        (
            LORA,
            {"checkpoints": {"keep": 3, "publish": True}, "evaluation": {"everySteps": 5}},
            5 * (2000 + 400 + 20) + 400,
            2000 + 50 + 5 * 1200 + 400,
        ),
    ],
    ids=["lora", "onnx", "fp32", "keep", "full", "published", "and-the-best"],
)
def test_estimate(sizes: Sizes, settings: dict[str, Any], model: int, workspace: int) -> None:
    """Every form of the model and of each published checkpoint, every checkpoint that is kept and one more, and a tenth on top."""
    found = estimate(run_config(Path("/tmp"), **settings), sizes)
    assert (found.model_bytes, found.workspace_bytes) == (int(1.1 * model), int(1.1 * workspace))


def test_what_fits_exactly_fits() -> None:
    """Only what cannot fit is refused."""
    check_space(100, 100, "the rows need")
    with pytest.raises(StageFailure, match=r"the rows need 3\.0 GiB more and 2\.0 GiB are free"):
        check_space(3 << 30, 2 << 30, "the rows need")


@pytest.mark.parametrize(
    "count, text", [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (3 << 29, "1.5 GiB"), (5 << 50, "5120.0 TiB")]
)
def test_bytes_for_people(count: int, text: str) -> None:
    """In the units of a claim's size."""
    assert readable(count) == text
