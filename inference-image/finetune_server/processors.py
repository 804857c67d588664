"""The number of processors that this container may use. By default ONNX Runtime counts the node's, and its threads are throttled."""

import math
import os
from pathlib import Path

CPU_LIMIT_FILE = Path("/sys/fs/cgroup/cpu.max")


def usable_processors(limit_file: Path = CPU_LIMIT_FILE) -> int:
    """The cgroup's limit rounded up, but at most the processors that this process may run on; at least 1."""
    allowed = len(os.sched_getaffinity(0))
    try:
        quota, period = limit_file.read_text().split()
    except (OSError, ValueError):
        return allowed
    return allowed if quota == "max" else max(1, min(allowed, math.ceil(int(quota) / int(period))))
