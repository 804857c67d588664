"""Activity of a process according to the kernel: the sign of life of libraries that report no progress."""

import os
from pathlib import Path

CPU_SECONDS = 10.0
READ_BYTES = 16 << 20
"""Both are counted in steps large enough that threads which only poll do not reach one."""
TICKS = os.sysconf("SC_CLK_TCK")

Doings = tuple[int, int]


def doings(pid: int) -> Doings:
    """CPU time, and bytes read and written, of a process and its children, in steps."""
    pids = [pid, *children(pid)]
    return int(sum(map(cpu_seconds, pids)) / CPU_SECONDS), sum(map(moved_bytes, pids)) // READ_BYTES


def cpu_seconds(pid: int) -> float:
    """Of all its threads and of the children it has waited for; 0 for a process that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS


def moved_bytes(pid: int) -> int:
    """Read and written by system calls, or read from disk for mapped memory; 0 for a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    except OSError:
        return 0
    counts = dict(line.split(": ") for line in lines)
    return sum(int(counts[name]) for name in ("rchar", "wchar", "read_bytes"))


def children(pid: int) -> list[int]:
    """Its direct children."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, path.read_text().split())
        except OSError:
            continue
    return found
