"""IA3 under every strategy that allows it, in two processes: the losses and the factors of one."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from finetune_api.exit_codes import ExitCode
from finetune_api.run_config import RunStrategy
from tests.strategies.test_matrix import CLOSE, GRAD, LIMITS, named
from tests.trainer.train.runs import DDP, FSDP, ZERO, Run, prepare_workspace

pytestmark = [pytest.mark.strategies, pytest.mark.timeout(900)]
IA3: dict[str, Any] = {"type": "ia3"}


def trained(folder: Path, base: Path, strategy: RunStrategy, processes: int) -> Run:
    """A run from start to end, whose factors move by a hundredth in a step."""
    workspace = prepare_workspace(folder, base, method=IA3, strategy=strategy, learning_rate=0.01)
    run = Run(workspace, IA3, processes=processes, limits=LIMITS)
    assert run.attempt() == ExitCode.OK
    return run


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Run:
    """One process with ddp."""
    return trained(tmp_path_factory.mktemp("alone"), tiny, DDP, 1)


@pytest.mark.parametrize("strategy", [DDP, FSDP, GRAD, *ZERO.values()], ids=named)
def test_factors(strategy: RunStrategy, tmp_path: Path, tiny: Path, alone: Run) -> None:
    """Vectors are divided, or not, like any other weights."""
    run = trained(tmp_path / "workspace", tiny, strategy, 2)
    assert run.losses() == pytest.approx(alone.losses(), abs=CLOSE)
    ours, theirs = (load_file(one.workspace.trained / "adapter" / "adapter_model.safetensors") for one in (run, alone))
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], atol=CLOSE, rtol=0)
        assert (tensor - 1).abs().max() > 0.01
