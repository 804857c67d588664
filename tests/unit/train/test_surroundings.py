"""What the launcher finds around it: cores, names, addresses, heartbeats."""

import socket
import time
from pathlib import Path

import pytest

from finetune_api.run_config import CPUS_VARIABLE
from finetune_trainer.distributed.network import free_port, interface_towards, split_endpoint, wait_for_name
from finetune_trainer.distributed.settings import library_settings
from finetune_trainer.stage.cores import available_cores, quota, thread_settings, threads_per_process
from finetune_trainer.train.launch.heartbeat import Heartbeat, phase_of, read_beat

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
    """The cores are shared out, and nobody gets less than one."""
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


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [("10.0.0.1:29400", ("10.0.0.1", 29400)), ("job-0.job:1", ("job-0.job", 1)), ("[fd00::1]:80", ("fd00::1", 80))],
)
def test_endpoint(endpoint: str, expected: tuple[str, int]) -> None:
    """HOST:PORT, with brackets around an IPv6 address."""
    assert split_endpoint(endpoint) == expected


@pytest.mark.parametrize("endpoint", ["", "host", ":1", "host:", "host:x"])
def test_wrong_endpoint(endpoint: str) -> None:
    """The message repeats what was given."""
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        split_endpoint(endpoint)


def test_a_name_that_appears_later_is_waited_for() -> None:
    """Pods start at different times, and their names with them."""
    asked = []

    def resolve(host: str, port: None) -> None:
        asked.append(host)
        if len(asked) < 3:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    wait_for_name("job-0.job", time.monotonic() + 10, resolve, pause=0.01)
    assert asked == ["job-0.job"] * 3


def test_a_name_that_never_appears_ends_the_wait() -> None:
    """At the deadline, with the name in the message."""
    with pytest.raises(TimeoutError, match=r"no-such-host\.invalid has no address"):
        wait_for_name("no-such-host.invalid", time.monotonic(), pause=0.01)


def test_interface() -> None:
    """The loopback's address is reached through the loopback; an unknown name through nothing."""
    assert interface_towards("127.0.0.1") == "lo"
    assert interface_towards("no-such-host.invalid") is None


def test_free_port() -> None:
    """Somebody can listen there."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", free_port()))


def test_heartbeat(tmp_path: Path) -> None:
    """Each beat is another text, names the phase, and leaves nothing of a longer one behind."""
    path = tmp_path / "rank-0.beat"
    assert phase_of(read_beat(path)) == "starting"
    heart = Heartbeat(path)
    seen = [read_beat(path)]
    for phase in ("finishing", "joining", "joining"):
        heart.beat(phase)
        seen.append(read_beat(path))
        assert phase_of(seen[-1]) == phase
    assert len(set(seen)) == 4


def test_library_settings() -> None:
    """Against fragmentation, cuDNN's plans and nccl issue 2190; what the user sets in the pod's environment goes first."""
    assert library_settings({"NCCL_CUMEM_HOST_ENABLE": "1"}) == {
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTORCH_ALLOC_CONF": "expandable_segments:True",
        "TORCH_CUDNN_SDPA_DEPRIORITIZED": "1",
        "NCCL_CUMEM_HOST_ENABLE": "1",
    }
