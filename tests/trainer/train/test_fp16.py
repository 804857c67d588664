"""Precision fp16: losses near those of fp32, steps that overflow, and a scale that survives an interruption. On a CPU, with
torch's own fp16: prepare refuses that, because it is slow."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.utils import get_total_norm
from transformers import AutoModelForCausalLM

from finetune_api.exit_codes import ExitCode
from finetune_api.run_config import RunStrategy
from finetune_trainer.distributed.world import World
from finetune_trainer.failure import StageFailure
from finetune_trainer.methods import METHODS
from finetune_trainer.strategies.ddp import OPTIMIZER, Replica
from finetune_trainer.train.loop.fp16 import GROWTH_INTERVAL, LossScale
from tests.trainer.train.conftest import run_here
from tests.trainer.train.runs import DDP, FSDP, FULL, LORA, Run

pytestmark = [pytest.mark.trainer, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]
HALF: dict[str, Any] = {"precision": "fp16", "checkpoint_every": 100}


TENSOR = RunStrategy(type="tensor-parallel", tensor_parallel_size=1)


@pytest.mark.parametrize(
    ("method", "strategy"),
    [(LORA, DDP), (FULL, DDP), (FULL, FSDP), (LORA, TENSOR)],
    ids=["lora", "full", "full fsdp", "lora tensor-parallel"],
)
def test_losses_are_near_those_of_fp32(method: dict[str, Any], strategy: RunStrategy, new_run: Callable[..., Run]) -> None:
    """And so are the gradients' norms, without the scale, but for the first steps, which overflow. What is trained is kept in fp32."""
    fp32, fp16 = (
        new_run(method=method, strategy=strategy, hyper=HALF | {"precision": precision, "learning_rate": 1e-6}, folder=precision)
        for precision in ("fp32", "fp16")
    )
    run_here(fp32)
    run_here(fp16)
    assert fp16.losses() == pytest.approx(fp32.losses(), rel=0.01)
    assert fp16.losses() != fp32.losses()
    norms = [(one.grad_norm, other.grad_norm) for one, other in zip(fp16.metrics(), fp32.metrics(), strict=True) if one.grad_norm]
    assert len(norms) >= 2
    assert [one for one, _ in norms] == pytest.approx([other for _, other in norms], rel=0.03)
    (weights,) = fp16.workspace.trained.glob("*/*.safetensors")
    assert {weight.dtype for weight in load_file(weights).values()} == {torch.float32}


def test_a_step_that_overflows_changes_nothing(new_run: Callable[..., Run], capsys: pytest.CaptureFixture[str]) -> None:
    """It is said, and the adapter is as it was: one that changes nothing."""
    run = new_run(hyper=HALF | {"total_steps": 1, "warmup_steps": 0})
    run_here(run)
    assert run.metrics()[0].grad_norm == 0
    assert "the gradient of step 1 overflows in fp16: it changes nothing, and the loss is scaled by 32768 now" in capsys.readouterr().out
    written = load_file(run.workspace.trained / "adapter" / "adapter_model.safetensors")
    assert not any(weight.any() for name, weight in written.items() if "lora_B" in name)


@pytest.mark.parametrize("most", [0.01, 1000.0], ids=["clipped", "not clipped"])
def test_the_optimizer_sees_gradients_without_the_scale(most: float, new_run: Callable[..., Run]) -> None:
    """Clipped to maxGradNorm: after the first step that does not overflow, AdamW's first moment is a tenth of it."""
    run = new_run(hyper=HALF | {"checkpoint_every": 1, "max_grad_norm": most, "learning_rate": 1e-3})
    run_here(run)
    first = next(step for step in run.metrics() if step.grad_norm > 0)
    assert 0.01 < first.grad_norm < 1000
    (folder,) = run.workspace.checkpoints.glob(f"*/checkpoint-{first.step}")
    moments = [state["exp_avg"] for state in torch.load(folder / OPTIMIZER)["state"].values()]
    assert float(get_total_norm(moments)) == pytest.approx(0.1 * min(first.grad_norm, most), rel=1e-3)


@pytest.mark.parametrize(("norm", "seen"), [(0.5, 0.5), (3.0, 1.0)])
def test_gradients_are_clipped_by_their_own_norm(norm: float, seen: float) -> None:
    """One below maxGradNorm loses the scale and nothing else, one above it is brought down to it."""
    scale, replica = LossScale(), Replica(World(rank=0, size=1, device=torch.device("cpu")), METHODS["full"])
    model = replica.load(lambda: torch.nn.Linear(8, 8), None)
    ones = get_total_norm([torch.ones_like(parameter) for parameter in model.parameters()])
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, norm * scale.value / float(ones))
    before = replica.norm()
    replica.clip(before, scale.bound(float(before), 1.0))
    assert float(replica.norm()) == pytest.approx(seen, rel=1e-5)


def test_the_scale_survives_an_interruption(new_run: Callable[..., Run]) -> None:
    """After the first overflows: a resumed training does not begin with the large scale again, and has the losses of a whole one."""
    whole, run = (new_run(hyper=HALF, folder=folder) for folder in ("whole", "resumed"))
    run_here(whole)
    norms = [step.grad_norm for step in whole.metrics()]
    first = next(place for place, norm in enumerate(norms) if norm > 0)
    assert 0 < first < len(norms) - 2
    with pytest.raises(StageFailure, match="with a checkpoint"):
        run_here(run, 1, lambda: len(run.metrics()) > first)
    run_here(run, 2)
    assert [step.grad_norm for step in run.metrics()] == norms
    assert run.losses() == whole.losses()


def test_a_loss_that_is_not_finite_is_a_divergence(tiny: Path, tmp_path: Path, new_run: Callable[..., Run]) -> None:
    """No scale changes it; the message knows a precision with a larger range."""
    model: Any = AutoModelForCausalLM.from_pretrained(tiny)
    model.model.norm.weight.data *= 1e6
    model.save_pretrained(tmp_path / "large")
    run = new_run(base=tmp_path / "large", hyper=HALF | {"total_steps": 1})
    with pytest.raises(StageFailure, match=r"the loss .*is not finite at step 1: set hyperparameters\.precision: fp32") as diverged:
        run_here(run)
    assert diverged.value.exit_code == ExitCode.DIVERGED


def scales(overflows: list[bool]) -> Iterator[float]:
    """After each step, as torch.amp.GradScaler has them."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer, scaler = torch.optim.SGD([weight], lr=0.0), torch.amp.GradScaler("cpu", growth_interval=GROWTH_INTERVAL)
    for overflow in overflows:
        loss: torch.Tensor = scaler.scale((weight * (torch.inf if overflow else 1)).sum())
        loss.backward()  # type: ignore[no-untyped-call]
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        yield scaler.get_scale()


def test_the_scale_is_that_of_torch() -> None:
    """Half after an overflow, twice after many steps without one, which begin again after each change."""
    overflows = [True, False, True, *[False] * (2 * GROWTH_INTERVAL - 1), True, *[False] * GROWTH_INTERVAL]
    scale: LossScale | None = LossScale()
    for step, (overflow, expected) in enumerate(zip(overflows, scales(overflows), strict=True)):
        assert scale is not None
        scale = scale.after(overflow=overflow)
        assert scale is not None and scale.value == expected, step


def test_overflows_without_end_are_a_divergence() -> None:
    """Once the gradient overflows without a scale."""
    scale, steps = LossScale(), 0
    while (lower := scale.after(overflow=True)) is not None:
        scale, steps = lower, steps + 1
    assert (scale.value, steps) == (1, 16)
