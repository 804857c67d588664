"""Runs the tests phase by phase, each in a pytest of its own, and sums up: `python scripts/run_phases.py unit make:images e2e`.

A phase is a folder below tests/, or `make:TARGET`, what the next phases need and may take minutes to build. A phase that
fails does not keep the next from running. Exits 1 if anything failed.

Phases whose tests share nothing but the machine run in two processes, each file in one of them.
"""

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

MAKE = "make:"
IN_TWO_PROCESSES = ("unit", "cluster", "trainer")
CLOSING_LINE = re.compile(r"=+ .*\bin [\d.]+s.*=+")
COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped)")


@dataclass(frozen=True)
class Outcome:
    """What a phase came to. A phase whose pytest broke down before it could count has one failure."""

    phase: str
    seconds: float
    passed: int = 0
    failed: int = 0
    skipped: int = 0


def count(closing_line: str, exit_code: int) -> tuple[int, int, int]:
    """Passed, failed and skipped from pytest's closing line; errors are failures."""
    found = {"passed": 0, "failed": 0, "error": 0, "skipped": 0}
    for number, word in COUNT.findall(closing_line):
        found[word.removesuffix("s")] += int(number)
    failed = found["failed"] + found["error"]
    return found["passed"], max(failed, 1 if exit_code else 0), found["skipped"]


def run(phase: str) -> Outcome:
    """One phase; its output is passed on line by line."""
    print(f"\n== {phase}", flush=True)
    began = time.monotonic()
    if phase.startswith(MAKE):
        done = subprocess.run(["make", "--no-print-directory", phase.removeprefix(MAKE)])
        return Outcome(phase, time.monotonic() - began, failed=1 if done.returncode else 0)
    closing = ""
    command, environment = [sys.executable, "-m", "pytest", f"tests/{phase}"], dict(os.environ)
    if phase in IN_TWO_PROCESSES:
        command += ["-n", "2", "--dist", "loadfile"]
        environment.setdefault("OMP_NUM_THREADS", "1")  # threads of one process would wait for those of the other
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if CLOSING_LINE.search(line):
                closing = line
    return Outcome(phase, time.monotonic() - began, *count(closing, process.returncode))


def main() -> int:
    """Runs the phases named on the command line, but for folders without tests."""
    phases = [phase for phase in sys.argv[1:] if phase.startswith(MAKE) or list(Path("tests", phase).rglob("test_*.py"))]
    outcomes = [run(phase) for phase in phases]
    print()
    for outcome in outcomes:
        print(f"{outcome.phase:14} {outcome.seconds:7.1f} s  {outcome.passed} passed, {outcome.failed} failed, {outcome.skipped} skipped")
    passed, failed = sum(o.passed for o in outcomes), sum(o.failed for o in outcomes)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
