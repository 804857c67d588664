"""How much memory this container may still use within the pod's limit."""

from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
FILES = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)
"""Limit, usage and statistics: cgroup v2, v1."""
NO_LIMIT = 1 << 60
"""v1 reports a number of this size if there is no limit."""


def free_memory(cgroup: Path = CGROUP) -> int | None:
    """Bytes; None without a limit. Inactive pages of files count as free, as for the kubelet."""
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
    """Bytes of inactive file pages from memory.stat."""
    numbers = dict(line.split() for line in statistics.splitlines() if line)
    return int(numbers.get("total_inactive_file", numbers.get("inactive_file", 0)))
