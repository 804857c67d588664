"""How much memory this container may still use: what a pod's memory limit leaves, not what the machine has."""

from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
FILES = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)
"""Limit, use, and what the use is made of: cgroup v2, v1."""
NO_LIMIT = 1 << 60
"""v1 writes a number like this where there is none."""


def free_memory(cgroup: Path = CGROUP) -> int | None:
    """Bytes, None without a limit. Pages of files that nobody has touched for a while count as free, as the kubelet counts them."""
    for limit, used, made_of in FILES:
        try:
            granted = int((cgroup / limit).read_text())
            if granted >= NO_LIMIT:
                return None
            return max(0, granted - int((cgroup / used).read_text()) + idle_pages((cgroup / made_of).read_text()))
        except (OSError, ValueError):  # "max", or the other version
            continue
    return None


def idle_pages(statistics: str) -> int:
    """Bytes, out of lines of a name and a number."""
    numbers = dict(line.split() for line in statistics.splitlines() if line)
    return int(numbers.get("total_inactive_file", numbers.get("inactive_file", 0)))
