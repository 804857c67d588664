"""How many cores this container may use, and the thread settings that follow: what the pod has, not what the machine has.

A stage sets them in its environment before libraries are loaded, because they read them once.
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path

from finetune_api.run_config import CPUS_VARIABLE

CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
"""cgroup v2: "200000 100000" means two cores, "max 100000" no limit."""
CFS_QUOTA = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
"""cgroup v1; the period is in the file beside it."""


def available_cores() -> int:
    """Whole cores, at least 1: the minimum of the machine's cores, the container's quota and what the operator sets."""
    known = (float(len(os.sched_getaffinity(0))), quota(), requested(os.environ))
    return max(1, math.floor(min(cores for cores in known if cores is not None)))


def threads_per_process(processes: int) -> int:
    """Threads for each of `processes` concurrent processes."""
    return max(1, available_cores() // processes)


def thread_settings(environment: Mapping[str, str], processes: int = 1) -> dict[str, str]:
    """Variables for one of `processes` concurrent processes; those already set in `environment` are kept."""
    settings = {"OMP_NUM_THREADS": str(threads_per_process(processes)), "OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
    return {name: environment.get(name) or value for name, value in settings.items()}


def requested(environment: Mapping[str, str]) -> float | None:
    """Cores of the pod as set by the operator; None if not set."""
    try:
        return float(environment[CPUS_VARIABLE])
    except (KeyError, ValueError):
        return None


def quota(v2: Path = CPU_MAX, v1: Path = CFS_QUOTA) -> float | None:
    """CPU quota of the container's cgroup in cores; None without a limit."""
    try:
        parts = v2.read_text().split() if v2.exists() else [v1.read_text(), v1.with_name("cpu.cfs_period_us").read_text()]
        return float(parts[0]) / float(parts[1]) if float(parts[0]) > 0 else None
    except (OSError, ValueError, IndexError):  # "max", or no such controller
        return None
