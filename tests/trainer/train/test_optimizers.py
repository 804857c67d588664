"""Every optimizer: the updates that its paper describes, the same ones after an interruption, and the state that prepare expects."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from finetune_api.exit_codes import ExitCode
from finetune_trainer.failure import StageFailure
from finetune_trainer.optimizers import OPTIMIZERS, TrainedParameters
from finetune_trainer.train.loop.metrics import read_metrics
from tests.trainer.train.conftest import run_here
from tests.trainer.train.runs import FULL, LORA, Run

pytestmark = [pytest.mark.trainer, pytest.mark.filterwarnings("ignore")]
Tensor = torch.Tensor
State = dict[str, Tensor]
RATE, DECAY = 0.01, 0.1
HYPER: dict[str, Any] = {"total_steps": 4, "checkpoint_every": 100}


def adamw(weight: Tensor, grad: Tensor, state: State, step: int) -> Tensor:
    """Loshchilov and Hutter 2019, algorithm 2, as torch has it."""
    first = state["first"] = 0.9 * state.get("first", torch.zeros_like(grad)) + 0.1 * grad
    second = state["second"] = 0.999 * state.get("second", torch.zeros_like(grad)) + 0.001 * grad**2
    return first / (1 - 0.9**step) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)


def adafactor(weight: Tensor, grad: Tensor, state: State, step: int) -> Tensor:
    """Shazeer and Stern 2018, algorithms 4 and 5, without relative steps."""
    kept, square = 1 - step**-0.8, grad**2 + 1e-30
    if grad.ndim < 2:
        second = state["second"] = kept * state.get("second", 0) + (1 - kept) * square
    else:
        rows = state["rows"] = kept * state.get("rows", 0) + (1 - kept) * square.mean(1)
        columns = state["columns"] = kept * state.get("columns", 0) + (1 - kept) * square.mean(0)
        second = torch.outer(rows, columns) / rows.mean()
    update = grad / second.sqrt()
    return update / max(1.0, float(update.square().mean().sqrt()))


def lion(weight: Tensor, grad: Tensor, state: State, step: int) -> Tensor:
    """Chen et al. 2023, algorithm 2."""
    momentum = state.get("momentum", torch.zeros_like(grad))
    state["momentum"] = 0.99 * momentum + 0.01 * grad
    return (0.9 * momentum + 0.1 * grad).sign()


def muon(weight: Tensor, grad: Tensor, state: State, step: int) -> Tensor:
    """Jordan et al. 2024 for a matrix, in the size of Liu et al. 2025; five steps of Newton and Schulz in bf16."""
    momentum = state["momentum"] = 0.95 * state.get("momentum", torch.zeros_like(grad)) + 0.05 * grad
    ahead = (0.05 * grad + 0.95 * momentum).bfloat16()
    wide = ahead.T if grad.shape[0] > grad.shape[1] else ahead
    wide = wide / wide.norm()
    for _ in range(5):
        gram = wide @ wide.T
        wide = 3.4445 * wide + (-4.775 * gram + 2.0315 * gram @ gram) @ wide
    return 0.2 * math.sqrt(max(grad.shape)) * (wide.T if grad.shape[0] > grad.shape[1] else wide).float()


class Model(torch.nn.Module):
    """An embedding, two layers with a matrix and a vector each, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(100, 64)
        self.blocks = torch.nn.ModuleList([torch.nn.Linear(64, 80), torch.nn.Linear(80, 64)])
        self.head = torch.nn.Linear(64, 10, bias=False)


FORMULAS: list[tuple[str, Callable[[Tensor, Tensor, State, int], Tensor], Callable[[Tensor, Tensor, State, int], Tensor], float]] = [
    ("adamw", adamw, adamw, 1e-4),
    ("adamw-8bit", adamw, adamw, 0.1),
    ("adafactor", adafactor, adafactor, 1e-3),
    ("lion", lion, lion, 1e-4),
    ("muon", muon, adamw, 0.05),
]
"""(name, update of a matrix in a layer, update of all else, largest relative error of all updates together)."""


@pytest.mark.parametrize(("name", "matrix", "rest", "error"), FORMULAS, ids=[row[0] for row in FORMULAS])
def test_updates_are_those_of_the_paper(name: str, matrix: Any, rest: Any, error: float) -> None:
    """Five steps with random gradients: the weight decays by rate x decay, then moves by rate x update."""
    torch.manual_seed(0)
    model = Model()
    states: dict[str, State] = {}
    groups = [{"params": list(model.parameters()), "weight_decay": DECAY}]
    optimizer = OPTIMIZERS[name].make(groups, model, RATE)
    weights = {key: weight.detach().clone() for key, weight in model.named_parameters()}
    before = {key: weight.clone() for key, weight in weights.items()}
    for step in range(1, 6):
        for key, weight in model.named_parameters():
            weight.grad = torch.randn_like(weight) / 100
            rule = matrix if key.startswith("blocks") and weight.ndim == 2 else rest
            update = rule(weights[key], weight.grad, states.setdefault(key, {}), step)
            weights[key] = (1 - RATE * DECAY) * weights[key] - RATE * update
        optimizer.step()
    for key, weight in model.named_parameters():
        assert (weight.detach() - weights[key]).norm() <= error * (weights[key] - before[key]).norm(), key


def nbytes(state: Any) -> int:
    """Of all tensors in a nested state but single numbers and the code tables that all tensors share."""
    if isinstance(state, torch.Tensor):
        return state.nbytes if state.ndim else 0
    return sum(nbytes(value) for key, value in state.items() if not str(key).startswith("qmap")) if isinstance(state, dict) else 0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_state_has_the_bytes_that_prepare_expects(name: str) -> None:
    """Matrices, an embedding, vectors and a head; within a tenth."""
    model = Model()
    matrices = {key: weight for key, weight in model.named_parameters() if weight.ndim == 2}
    vectors = sum(weight.numel() for weight in model.parameters() if weight.ndim == 1)
    trained = TrainedParameters(
        total=sum(weight.numel() for weight in model.parameters()),
        matrices=sum(weight.numel() for key, weight in matrices.items() if key.startswith("blocks")),
        embeddings=model.embedding.weight.numel(),
        factors=sum(sum(weight.shape) for weight in matrices.values()) + vectors,
    )
    optimizer = OPTIMIZERS[name].make([{"params": list(model.parameters()), "weight_decay": 0.0}], model, RATE)
    for weight in model.parameters():
        weight.grad = torch.randn_like(weight)
    optimizer.step()
    small = 6 * (vectors + model.head.weight.numel()) if name == "adamw-8bit" else 0  # tensors that stay in fp32
    assert nbytes(optimizer.state_dict()["state"]) == pytest.approx(OPTIMIZERS[name].state_bytes(trained) + small, rel=0.1)


@pytest.mark.parametrize(("name", "method"), [*((name, FULL) for name in OPTIMIZERS), ("muon", LORA)])
def test_a_resumed_training_leaves_the_same_bytes(name: str, method: dict[str, Any], new_run: Callable[..., Run]) -> None:
    """Interrupted in its second step."""
    rate = 1e-3 * OPTIMIZERS[name].learning_rate_scale
    hyper = HYPER | {"optimizer": name, "learning_rate": rate}
    whole, run = (new_run(method=method, hyper=hyper, folder=folder) for folder in ("whole", "resumed"))
    run_here(whole)
    with pytest.raises(StageFailure, match="at step 2, with a checkpoint"):
        run_here(run, 1, lambda: len(read_metrics(run.workspace.metrics)) >= 1)
    run_here(run, 2)
    assert run.losses() == whole.losses()
    ours, theirs = (load_file(next(one.workspace.trained.glob("*/*.safetensors"))) for one in (run, whole))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_two_ranks_find_the_library_of_their_optimizer(new_run: Callable[..., Run]) -> None:
    """bitsandbytes is hidden from ranks that do not need it; the losses are those of one process."""
    one, two = (
        new_run(hyper=HYPER | {"optimizer": "adamw-8bit"}, folder=str(count), processes=count, hyperparameters={"optimizer": "adamw-8bit"})
        for count in (1, 2)
    )
    run_here(one)
    two.limits = {"startDeadline": 600.0, "stallTimeout": 600.0}
    assert two.attempt() == ExitCode.OK
    assert two.losses() == pytest.approx(one.losses(), abs=1e-4)
