"""The phase runner reads pytest's closing line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.run_phases import CLOSING_LINE, count

PROGRAM = Path(__file__).parents[3] / "scripts" / "run_phases.py"

# pytest's closing line, its exit code -> passed, failed, skipped
LINES = [
    ("========== 3 passed in 0.10s ==========", 0, (3, 0, 0)),
    ("=== 1 failed, 3 passed, 2 skipped, 1 warning in 65.10s (0:01:05) ===", 1, (3, 1, 2)),
    ("=== 2 passed, 1 error in 1.00s ===", 1, (2, 1, 0)),
    ("=== 2 errors in 1.00s ===", 2, (0, 2, 0)),
    ("=== no tests ran in 0.01s ===", 5, (0, 1, 0)),
    ("", 3, (0, 1, 0)),
]
OTHERS = ["=== FAILURES ===", "=== short test summary info ===", "FAILED tests/x.py::test_a - took 3 in 1.0s", "collected 3 items"]


@pytest.mark.parametrize(("line", "exit_code", "expected"), LINES)
def test_counts(line: str, exit_code: int, expected: tuple[int, int, int]) -> None:
    """Errors are failures, and a pytest that broke down has at least one."""
    assert count(line, exit_code) == expected
    assert bool(CLOSING_LINE.search(line)) == bool(line)


@pytest.mark.parametrize("line", OTHERS)
def test_other_lines_are_not_taken_for_it(line: str) -> None:
    """Headings and results look similar."""
    assert not CLOSING_LINE.search(line)


def test_phases_are_summed_up(tmp_path: Path) -> None:
    """A failing phase does not keep the next from running; the last line sums up, and the exit code tells."""
    for phase, body in (("one", "assert False"), ("two", "pass")):
        folder = tmp_path / "tests" / phase
        folder.mkdir(parents=True)
        (folder / "test_it.py").write_text(f"def test_it():\n    {body}\n\n\ndef test_more():\n    pass\n")
    (tmp_path / "Makefile").write_text("built:\n\t@touch built\nbroken:\n\t@exit 1\n")
    arguments = ["one", "make:built", "two", "make:broken", "absent"]
    bare = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run([sys.executable, PROGRAM, *arguments], cwd=tmp_path, capture_output=True, text=True, env=bare)
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert lines[-1] == "3 passed, 2 failed"
    assert [line.split()[0] for line in lines[-5:-1]] == arguments[:-1]
    assert lines[-6].startswith("one: FAILED tests/one/test_it.py::test_it")
    assert (tmp_path / "built").exists()


def test_a_phase_that_waits_runs_beside_the_next_ones(tmp_path: Path) -> None:
    """Its tests wait here for those of the phase after it; a target starts when both have ended, and no line stands in another phase."""
    wait = "import time\nfrom pathlib import Path\n\n\ndef test_it():\n    while not Path('met').exists():\n        time.sleep(0.01)\n"
    meet = "from pathlib import Path\n\n\ndef test_it():\n    Path('met').touch()\n"
    for phase, body in (("cluster", wait), ("after", meet)):
        folder = tmp_path / "tests" / phase
        folder.mkdir(parents=True)
        (folder / "test_it.py").write_text(body)
    (tmp_path / "Makefile").write_text("built:\n\t@echo built\n")
    done = subprocess.run([sys.executable, PROGRAM, "cluster", "after", "make:built"], cwd=tmp_path, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout
    assert lines[-1] == "2 passed, 0 failed"
    assert [line.split()[0] for line in lines[-4:-1]] == ["cluster", "after", "make:built"]
    assert lines.index("built") > max(place for place, line in enumerate(lines) if " in " in line and "passed" in line)
