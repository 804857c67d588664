"""What is shown of the machine while it trains."""

import resource
from pathlib import Path

import pytest
import torch

from finetune_api.progress import last_progress
from finetune_trainer.methods import METHODS
from finetune_trainer.train.loop.usage import Usage, Work, work
from tests.trainer.train.conftest import run_here
from tests.trainer.train.runs import Run, prepare_workspace

pytestmark = [pytest.mark.trainer, pytest.mark.timeout(300)]
CPU = torch.device("cpu")


def test_the_share_of_the_peak_speed() -> None:
    """6 operations for each of 10^9 parameters, 20,000 tokens a second, on two GPUs of 10^15 operations a second."""
    assert Work(6 * 1e9, 2e15).share(20_000) == pytest.approx(0.06)


def test_a_cpu_has_no_peak_and_no_gpu_figures() -> None:
    """They are left out, and not zero."""
    effort = work(CPU, 4, METHODS["full"], 10**9, "bf16")
    assert effort == Work(6e9, None)
    assert set(Usage(CPU, effort).figures(100.0)) == {"host_memory_bytes"}


def test_a_run_shows_its_memory_and_its_gradient(tmp_path: Path, tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In its progress line as in metrics.csv; the peak of this process can only have grown since."""
    run = Run(prepare_workspace(tmp_path / "workspace", tiny, total_steps=3))
    run_here(run)
    steps, shown = run.metrics(), last_progress(capsys.readouterr().out)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert shown is not None and shown.activity == "writing the trained weights"
    assert (shown.step, shown.loss, shown.grad_norm) == pytest.approx((3, steps[-1].loss, steps[-1].grad_norm))
    assert [step.mfu for step in steps] == [None] * 3
    assert all(2**26 < (step.host_memory_bytes or 0) <= peak for step in steps)
    assert shown.eta_seconds == 0
