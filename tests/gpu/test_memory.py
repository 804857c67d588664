"""The memory of a GPU: what prepare expects against the measured peak, and what happens when it runs out."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.memory import Case, measure
from finetune_api.exit_codes import ExitCode
from finetune_api.run_config import RunHardware, RunStrategy
from finetune_trainer.distributed.device import release_memory
from finetune_trainer.failure import StageFailure
from tests.gpu.runs import limited_after, new_run, peak_of
from tests.trainer.train.conftest import run_here
from tests.trainer.train.runs import DDP, FSDP, FULL, Run, prepare_workspace
from tests.trainer.train.test_out_of_memory import HYPER, MIB, ROWS, wide

__all__ = ["wide"]
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]
CASES = [
    Case("small", "lora", "bf16", 512, 32),
    Case("small", "lora", "bf16", 512, 32, checkpointing=True),
    Case("small", "lora", "fp32", 512, 16),
    Case("small", "qlora", "bf16", 512, 32),
    Case("small", "full", "bf16", 512, 32),
    Case("small", "full", "fp32", 512, 16, checkpointing=True),
    Case("large", "lora", "bf16", 2048, 8),
    Case("large", "lora", "bf16", 2048, 8, checkpointing=True),
    Case("large", "lora", "bf16", 256, 32, 0.1),
    Case("large", "qlora", "bf16", 1024, 8, checkpointing=True),
    Case("large", "qlora", "fp32", 1024, 4),
    Case("large", "full", "bf16", 1024, 8, checkpointing=True),
    Case("large", "full", "bf16", 256, 16),
    Case("large", "full", "fp32", 512, 8),
]
ROOM = 400 * MIB
"""The step of test_out_of_memory.py needs 441 MiB for its logits, or half of it, and about 90 MiB for weights and work spaces."""
LOWEST, HIGHEST = 0.85, 1.15
"""The peak as a share of the estimate."""


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.bf16] * (case.precision == "bf16"), id=" ".join(case.name.split())) for case in CASES]
)
def test_the_peak_is_foretold(case: Case, request: pytest.FixtureRequest, tmp_path: Path, figures: Callable[..., None]) -> None:
    """What the GPU holds at most, its context included, is what prepare expects, within 15 %."""
    release_memory()
    hardware = RunHardware(gpus=1, memory=torch.cuda.get_device_properties(0).total_memory)
    expected, peak = measure(case, request.getfixturevalue(case.model), tmp_path, hardware, peak_of)
    figures(estimate_MiB=expected >> 20, peak_MiB=peak >> 20, peak_of_estimate=peak / expected)
    assert LOWEST <= peak / expected <= HIGHEST


def test_out_of_memory(wide: Path, tmp_path: Path) -> None:
    """A step that needs more than there is ends with OUT_OF_MEMORY and what to change; half the micro-batch fits into the same
    memory and has the losses of a training that was never limited."""
    reference, run = (Run(prepare_workspace(tmp_path / name, wide, method=FULL, rows=ROWS, **HYPER), FULL) for name in ("whole", "limited"))
    run_here(reference)
    with limited_after(2, ROOM) as asked, pytest.raises(StageFailure) as failed:
        run_here(run, 1, asked)
    assert (failed.value.exit_code, failed.value.error.param) == (ExitCode.OUT_OF_MEMORY, "hyperparameters.gradientCheckpointing")
    release_memory()
    with limited_after(0, ROOM) as asked:
        run_here(run, 2, asked, halved=True)
    assert run.losses() == pytest.approx(reference.losses(), abs=1e-3)


def test_the_launcher_says_out_of_memory(wide: Path, tmp_path: Path) -> None:
    """A GPU of which the process may have a small part: exit code 48, and the next attempt has half the micro-batch."""
    run = Run(prepare_workspace(tmp_path / "workspace", wide, method=FULL, rows=ROWS, **HYPER), FULL)
    part = ROOM / torch.cuda.get_device_properties(0).total_memory
    run.environment = {"PYTORCH_ALLOC_CONF": f"expandable_segments:True,per_process_memory_fraction:{part:.6f}"}
    assert run.attempt(1) == ExitCode.OUT_OF_MEMORY
    run.environment = {}
    assert run.attempt(2, halved=True) == ExitCode.OK
    assert "micro-batches of 286 tokens instead of 4,096" in (run.workspace.root / "log-2-0.txt").read_text()


def peak_with(folder: Path, base: Path, strategy: RunStrategy, **hyper: Any) -> int:
    """Bytes of the first of two GPUs in a full fine-tuning of three steps in bf16; six examples a step."""
    release_memory()
    run = new_run(folder / "workspace", base, FULL, strategy, 2, total_steps=3, precision="bf16", **hyper)
    launched = run.start()
    peak = peak_of(launched.process)
    assert launched.wait() == ExitCode.OK, launched.log()
    shutil.rmtree(run.workspace.root)
    return peak


@pytest.mark.gpus(2)
@pytest.mark.bf16
def test_accumulation_needs_no_more_memory(large: Path, tmp_path: Path, figures: Callable[..., None]) -> None:
    """fsdp reduces the gradients of every micro-batch: three of them need what one does, within a tenth."""
    one, three = (peak_with(tmp_path, large, FSDP, micro_batch_tokens=tokens) for tokens in (100_000, 1))
    figures(one_MiB=one >> 20, three_MiB=three >> 20)
    assert three <= 1.1 * one


@pytest.mark.gpus(2)
@pytest.mark.bf16
def test_shards_need_less_than_copies(large: Path, tmp_path: Path, figures: Callable[..., None]) -> None:
    """Full fine-tuning on two GPUs: fsdp holds half of weights, gradients and optimizer state, of which a copy has 16 bytes a parameter."""
    copies, shards = (peak_with(tmp_path, large, strategy) for strategy in (DDP, FSDP))
    figures(ddp_MiB=copies >> 20, fsdp_MiB=shards >> 20)
    assert shards < 0.75 * copies
