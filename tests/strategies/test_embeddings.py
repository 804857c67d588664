"""Embedding models under strategies that put weights together for each layer: vectors of a whole step come before its gradients."""

from pathlib import Path
from typing import Any

import pytest

from finetune_api.exit_codes import ExitCode
from finetune_api.run_config import RunStrategy
from finetune_trainer.workspace.prepared import Prepared
from tests.strategies.test_matrix import CLOSE, LIMITS, METHODS, named
from tests.trainer.train.embedded import prepare_embedded
from tests.trainer.train.labelled import ENCODER_VOCABULARY
from tests.trainer.train.runs import DDP, FSDP, ZERO, Run

pytestmark = [pytest.mark.strategies, pytest.mark.timeout(900)]


def trained(folder: Path, base: Path, method: dict[str, Any], strategy: RunStrategy, processes: int) -> Run:
    """A run from start to end, of several micro-batches a step."""
    workspace = prepare_embedded(folder, base, "triplets", vocabulary=ENCODER_VOCABULARY, rows=19, method=method, total_steps=5)
    prepared = Prepared.from_json(workspace.prepared.read_bytes())
    workspace.prepared.write_text(prepared.model_copy(update={"strategy": strategy}).to_json())
    run = Run(workspace, method, task="text-embedding", processes=processes, limits=LIMITS)
    assert run.attempt() == ExitCode.OK
    return run


@pytest.fixture(scope="session", params=METHODS)
def alone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> Run:
    """One process with ddp."""
    return trained(tmp_path_factory.mktemp("embedded") / "workspace", encoder, METHODS[request.param], DDP, 1)


@pytest.mark.parametrize("strategy", [FSDP, *ZERO.values()], ids=named)
def test_losses(strategy: RunStrategy, tmp_path: Path, encoder: Path, alone: Run) -> None:
    """And gradient norms are those of one process."""
    run = trained(tmp_path / "workspace", encoder, alone.method, strategy, 2)
    assert run.losses() == pytest.approx(alone.losses(), abs=CLOSE)
    assert [step.grad_norm for step in run.metrics()] == pytest.approx([step.grad_norm for step in alone.metrics()], rel=1e-3)
