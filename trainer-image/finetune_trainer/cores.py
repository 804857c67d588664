"""How many cores this container may use: what a pod's CPU limit says, not what the machine has."""

import math
import os
from pathlib import Path

CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
"""cgroup v2: "200000 100000" is two cores, "max 100000" is no limit."""
CFS_QUOTA = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
"""cgroup v1; the period is in the file beside it."""


def available_cores() -> int:
    """Whole cores, at least 1."""
    allowed = len(os.sched_getaffinity(0))
    return max(1, min(allowed, math.floor(limit))) if (limit := quota()) is not None else allowed


def threads_per_process(processes: int) -> int:
    """Threads for each of `processes` that compute at the same time."""
    return max(1, available_cores() // processes)


def quota(v2: Path = CPU_MAX, v1: Path = CFS_QUOTA) -> float | None:
    """Cores that the container's cgroup grants, None without a limit."""
    try:
        parts = v2.read_text().split() if v2.exists() else [v1.read_text(), v1.with_name("cpu.cfs_period_us").read_text()]
        return float(parts[0]) / float(parts[1]) if float(parts[0]) > 0 else None
    except (OSError, ValueError, IndexError):  # "max", or no such controller
        return None
