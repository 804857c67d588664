"""How many processors this container may use. ONNX Runtime itself would count the node's, and its threads would be throttled."""

import math
import os
from pathlib import Path

CPU_LIMIT_FILE = Path("/sys/fs/cgroup/cpu.max")


def usable_processors(limit_file: Path = CPU_LIMIT_FILE) -> int:
    """The cgroup's limit rounded up, and not more than the processors this process may run on; at least 1."""
    allowed = len(os.sched_getaffinity(0))
    try:
        quota, period = limit_file.read_text().split()
    except (OSError, ValueError):
        return allowed
    return allowed if quota == "max" else max(1, min(allowed, math.ceil(int(quota) / int(period))))
