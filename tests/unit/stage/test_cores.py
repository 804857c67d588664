"""How many cores a process takes."""

from pathlib import Path

import pytest

from finetune_api.run_config import CPUS_VARIABLE
from finetune_trainer.stage.cores import available_cores, quota, thread_settings, threads_per_process

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "200000 100000\n"}, 2.0),
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": ""}, None),
        ({"cpu.cfs_quota_us": "400000\n", "cpu.cfs_period_us": "100000\n"}, 4.0),
        ({"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_quota(tmp_path: Path, files: dict[str, str], cores: float | None) -> None:
    """The container's CPU limit, of either version of cgroups; "max", -1 and no file mean none."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert quota(tmp_path / "cpu.max", tmp_path / "cpu.cfs_quota_us") == cores


def test_threads() -> None:
    """The cores are divided, and no process gets less than one."""
    assert threads_per_process(1) == available_cores() >= 1
    assert threads_per_process(10 * available_cores()) == 1


@pytest.mark.parametrize(("asked", "cores"), [("1", 1), ("0.5", 1), ("1.9", 1), ("1000", None), ("", None), ("all", None)])
def test_cores_that_the_pod_asks_for(monkeypatch: pytest.MonkeyPatch, asked: str, cores: int | None) -> None:
    """A pod without a limit takes no more than it has asked for; what is no number says nothing."""
    free = available_cores()
    monkeypatch.setenv(CPUS_VARIABLE, asked)
    assert available_cores() == (cores or free)


def test_thread_settings() -> None:
    """What the user sets in the pod's environment goes first."""
    threads = str(available_cores())
    assert thread_settings({}) == {"OMP_NUM_THREADS": threads, "OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
    assert thread_settings({"OMP_NUM_THREADS": "3", "OMP_WAIT_POLICY": "ACTIVE"}, 100) == {
        "OMP_NUM_THREADS": "3",
        "OMP_WAIT_POLICY": "ACTIVE",
        "KMP_BLOCKTIME": "0",
    }
