"""Whole trainings on GPUs, by the launcher or in this process."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any

import torch

from finetune_api.exit_codes import ExitCode
from finetune_api.run_config import RunStrategy
from tests.trainer.train.runs import DDP, LORA, Run, prepare_workspace

QLORA: dict[str, Any] = LORA | {"type": "qlora"}
LIMITS = {"startDeadline": 120.0, "stallTimeout": 120.0}
POLL = 0.02
"""Seconds between two looks at the memory of a GPU."""


def new_run(folder: Path, base: Path, method: dict[str, Any], strategy: RunStrategy = DDP, processes: int = 1, **hyper: Any) -> Run:
    """Workspace and run; without checkpoints unless `hyper` says otherwise."""
    workspace = prepare_workspace(folder, base, method=method, strategy=strategy, **{"checkpoint_every": 1000, **hyper})
    return Run(workspace, method, processes=processes, limits=LIMITS)


def trained(folder: Path, base: Path, method: dict[str, Any], strategy: RunStrategy = DDP, processes: int = 1, **hyper: Any) -> Run:
    """A run from start to end."""
    return completed(new_run(folder, base, method, strategy, processes, **hyper))


def completed(run: Run) -> Run:
    """The same run after its only attempt."""
    code = run.attempt()
    assert code == ExitCode.OK, (run.workspace.root / "log-1-0.txt").read_text()[-4000:]
    return run


def worst(ours: list[float], theirs: list[float]) -> float:
    """The largest difference between losses of the same step, as a share of the loss."""
    return max(abs(mine - other) / abs(other) for mine, other in zip(ours, theirs, strict=True))


def memory_in_use(number: int) -> int:
    """Bytes of a GPU that all processes hold together."""
    free, total = torch.cuda.mem_get_info(number)
    return total - free


def peak_of(process: "Popen[bytes]", number: int = 0, in_use: Callable[[int], int] = memory_in_use) -> int:
    """The most that a GPU held while the process ran, beyond what it holds now. Nothing else may use the GPU."""
    before = in_use(number)  # with this process's own CUDA context
    most = before
    while process.poll() is None:
        most = max(most, in_use(number))
        time.sleep(POLL)
    return most - before


@contextmanager
def limited_after(calls: int, room: int) -> Iterator[Callable[[], bool]]:
    """An `asked_to_stop` that, after so many calls, limits this process to `room` bytes of GPU memory more than it has; lifted at the
    end."""
    total, made = torch.cuda.get_device_properties(0).total_memory, 0

    def asked() -> bool:
        nonlocal made
        if made == calls:
            torch.cuda.empty_cache()
            torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved(0) + room) / total)
        made += 1
        return False

    try:
        yield asked
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
