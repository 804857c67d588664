"""A rank that dies or diverges under NCCL ends the others, soon and with the right code."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from finetune_api.exit_codes import ExitCode
from finetune_api.run_config import RunStrategy
from finetune_trainer.language_model.rows import Rows
from finetune_trainer.train.checkpoints import complete_checkpoints
from tests.gpu.runs import new_run
from tests.strategies.test_matrix import named, poisoned
from tests.trainer.train.runs import DDP, FSDP, FULL, LORA, OWNER, Launched, Run, prepare_workspace

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(900), pytest.mark.gpus(2)]
FOREVER = 1_000_000


def two_nodes(run: Run) -> list[Launched]:
    """The launchers of two nodes, each of which sees one GPU."""
    run.nodes = 2
    started = []
    for node in (0, 1):
        own = replace(run, environment=run.environment | {"CUDA_VISIBLE_DEVICES": str(node)})
        started.append(own.start(node=node))
    return started


@pytest.mark.parametrize("victim", ["rank", "launcher"])
@pytest.mark.parametrize("strategy", [DDP, FSDP], ids=named)
def test_a_node_is_killed(strategy: RunStrategy, victim: str, small: Path, tmp_path: Path) -> None:
    """kill -9 in the middle of a step: the other node ends with PEER_LOST, and not with STALLED, as it would if it waited for NCCL."""
    run = new_run(tmp_path / "workspace", small, FULL if strategy is FSDP else LORA, strategy, total_steps=FOREVER, micro_batch_tokens=1)
    first, second = two_nodes(run)
    first.wait_for_step(2, run.workspace)
    (rank,) = second.workers().values()
    os.kill(rank if victim == "rank" else second.process.pid, signal.SIGKILL)
    assert first.wait() == ExitCode.PEER_LOST, first.log()
    assert second.wait() in (-signal.SIGKILL, 128 + signal.SIGKILL)


@pytest.mark.parametrize("strategy", [DDP, FSDP], ids=named)
def test_one_rank_diverges(strategy: RunStrategy, small: Path, tmp_path: Path) -> None:
    """A row whose loss is not a number: both ranks end with DIVERGED before the update, and what was saved is finite."""
    rows = Rows(prepare_workspace(tmp_path / "rows", small).train_rows)
    base = poisoned(small, tmp_path / "base", rows)
    run = new_run(tmp_path / "workspace", base, LORA, strategy, 2, checkpoint_every=1, shuffle=False)  # the row is in the second step
    assert run.attempt() == ExitCode.DIVERGED
    assert [step.loss < 100 for step in run.metrics()] == [True]
    owner = OWNER if strategy is DDP else f"{OWNER} {strategy.type}"
    (checkpoint,) = complete_checkpoints(run.workspace.checkpoints, owner)
    files = list(checkpoint.path.rglob("*.safetensors"))
    assert files
    assert all(tensor.isfinite().all() for file in files for tensor in load_file(file).values())
