"""How many cores this container may use, and how libraries are told: what the pod asks for, not what the machine has.

A stage says so in its environment before the libraries are loaded: they look there once.
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path

from finetune_api.run_config import CPUS_VARIABLE

CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
"""cgroup v2: "200000 100000" is two cores, "max 100000" is no limit."""
CFS_QUOTA = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
"""cgroup v1; the period is in the file beside it."""


def available_cores() -> int:
    """Whole cores, at least 1: the least of what the machine, the container's limit and the pod's request let it have."""
    known = (float(len(os.sched_getaffinity(0))), quota(), requested(os.environ))
    return max(1, math.floor(min(cores for cores in known if cores is not None)))


def threads_per_process(processes: int) -> int:
    """Threads for each of `processes` that compute at the same time."""
    return max(1, available_cores() // processes)


def thread_settings(environment: Mapping[str, str], processes: int = 1) -> dict[str, str]:
    """Variables for a process that computes beside as many others; what `environment` says already stays as it is.

    Threads that wait sleep. OpenMP's would spin: where another process holds one of the cores, the others burn theirs at every
    barrier until it lets go (benchmarks/neighbour.py).
    """
    settings = {"OMP_NUM_THREADS": str(threads_per_process(processes)), "OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
    return {name: environment.get(name) or value for name, value in settings.items()}


def requested(environment: Mapping[str, str]) -> float | None:
    """Cores that the pod asks for, as the operator says; None where nobody does."""
    try:
        return float(environment[CPUS_VARIABLE])
    except (KeyError, ValueError):
        return None


def quota(v2: Path = CPU_MAX, v1: Path = CFS_QUOTA) -> float | None:
    """Cores that the container's cgroup grants, None without a limit."""
    try:
        parts = v2.read_text().split() if v2.exists() else [v1.read_text(), v1.with_name("cpu.cfs_period_us").read_text()]
        return float(parts[0]) / float(parts[1]) if float(parts[0]) > 0 else None
    except (OSError, ValueError, IndexError):  # "max", or no such controller
        return None
