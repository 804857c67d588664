"""Runs the tests phase by phase, each in a pytest of its own, and sums up: `python scripts/run_phases.py unit make:images e2e`.

A phase is a folder below tests/, or `make:TARGET`, what the next phases need and may take minutes to build. A phase that
fails does not keep the next from running. The end of the output names the tests that failed. Exits 1 if anything failed.

Phases whose tests share nothing but the machine run in two processes, each file in one of them. A phase whose tests mostly wait
runs beside those that follow it, up to the next target; its output is printed when it ends.
"""

import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

MAKE = "make:"
IN_TWO_PROCESSES = ("unit", "cluster", "server", "trainer")
LONG_FILES_FIRST = ("trainer",)
"""Its conftest.py orders the files; elsewhere those with the most tests are the longest."""
WAITING = ("cluster",)
"""For an API server, most of the time."""
CLOSING_LINE = re.compile(r"=+ .*\bin [\d.]+s.*=+")
COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped)")
FAILURE = re.compile(r"(FAILED|ERROR) tests/")
PRINTING = threading.Lock()


@dataclass(frozen=True)
class Outcome:
    """What a phase came to. A phase whose pytest broke down before it could count has one failure."""

    phase: str
    seconds: float
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: tuple[str, ...] = ()
    """What pytest's summary says of each."""


def count(closing_line: str, exit_code: int) -> tuple[int, int, int]:
    """Passed, failed and skipped from pytest's closing line; errors are failures."""
    found = {"passed": 0, "failed": 0, "error": 0, "skipped": 0}
    for number, word in COUNT.findall(closing_line):
        found[word.removesuffix("s")] += int(number)
    failed = found["failed"] + found["error"]
    return found["passed"], max(failed, 1 if exit_code else 0), found["skipped"]


def run(phase: str, *, at_once: bool = True) -> Outcome:
    """One phase; its output is passed on line by line, or when the phase has ended."""
    began = time.monotonic()
    if phase.startswith(MAKE):
        print(f"\n== {phase}", flush=True)
        done = subprocess.run(["make", "--no-print-directory", phase.removeprefix(MAKE)])
        return Outcome(phase, time.monotonic() - began, failed=1 if done.returncode else 0)
    command, environment = [sys.executable, "-m", "pytest", f"tests/{phase}"], dict(os.environ)
    if phase in IN_TWO_PROCESSES:
        command += ["-n", "2", "--dist", "loadfile"]
        if phase in LONG_FILES_FIRST:
            command.append("--no-loadscope-reorder")
        environment.setdefault("OMP_NUM_THREADS", "1")  # threads of one process would wait for those of the other
    lines = [f"\n== {phase}\n"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        if at_once:
            show(lines)
        for line in process.stdout:
            lines.append(line)
            if at_once:
                show([line])
    if not at_once:
        show(lines)
    closing = next((line for line in reversed(lines) if CLOSING_LINE.search(line)), "")
    failures = tuple(line.strip() for line in lines if FAILURE.match(line))
    return Outcome(phase, time.monotonic() - began, *count(closing, process.returncode), failures)


def show(lines: list[str]) -> None:
    """Prints them with nothing between them."""
    with PRINTING:
        print("".join(lines), end="", flush=True)


def run_all(phases: list[str]) -> list[Outcome]:
    """Each phase after the one before it, or beside it."""
    with ThreadPoolExecutor() as threads:
        running: list[Future[Outcome]] = []
        for place, phase in enumerate(phases):
            if phase.startswith(MAKE):
                for one in running:
                    one.result()
            next_phase = phases[place + 1] if place + 1 < len(phases) else MAKE
            beside = phase in WAITING and not next_phase.startswith(MAKE)
            running.append(threads.submit(run, phase, at_once=not beside))
            if not beside:
                running[-1].result()
        return [one.result() for one in running]


def main() -> int:
    """Runs the phases named on the command line, but for folders without tests."""
    phases = [phase for phase in sys.argv[1:] if phase.startswith(MAKE) or list(Path("tests", phase).rglob("test_*.py"))]
    outcomes = run_all(phases)
    print()
    for outcome in outcomes:
        for failure in outcome.failures:
            print(f"{outcome.phase}: {failure}")
    for outcome in outcomes:
        print(f"{outcome.phase:14} {outcome.seconds:7.1f} s  {outcome.passed} passed, {outcome.failed} failed, {outcome.skipped} skipped")
    passed, failed = sum(o.passed for o in outcomes), sum(o.failed for o in outcomes)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
