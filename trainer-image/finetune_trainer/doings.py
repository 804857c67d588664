"""What a process does by the kernel's account of it: the sign of life of work inside of libraries, which tell nothing meanwhile."""

import os
from pathlib import Path

CPU_SECONDS = 10.0
READ_BYTES = 16 << 20
"""Both are counted in steps so large that threads which merely look at something now and then do not take them."""
TICKS = os.sysconf("SC_CLK_TCK")

Doings = tuple[int, int]


def doings(pid: int) -> Doings:
    """How much a process and its children have computed, and read and written, in steps."""
    pids = [pid, *children(pid)]
    return int(sum(map(cpu_seconds, pids)) / CPU_SECONDS), sum(map(moved_bytes, pids)) // READ_BYTES


def cpu_seconds(pid: int) -> float:
    """Of all of its threads, and of the children that it has waited for; 0 for a process that has gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS


def moved_bytes(pid: int) -> int:
    """Read and written by calls, or from a disk for memory that is mapped; 0 for a process that has gone."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    except OSError:
        return 0
    counts = dict(line.split(": ") for line in lines)
    return sum(int(counts[name]) for name in ("rchar", "wchar", "read_bytes"))


def children(pid: int) -> list[int]:
    """Its living children, not theirs."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, path.read_text().split())
        except OSError:
            continue
    return found
