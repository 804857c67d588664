"""A stage that hangs ends, whatever it hangs in; one that works is left alone, however silent it is."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from finetune_api.exit_codes import ExitCode
from finetune_api.result import StageResult
from finetune_trainer.stage.activity import CPU_SECONDS, READ_BYTES, cpu_seconds, doings, moved_bytes
from finetune_trainer.stage.stall import StallWatch
from finetune_trainer.workspace.workspace import Workspace
from tests.unit.prepare.run import run_config

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("looks", "stalled"),
    [
        # (time, signs)
        ([(5, 1), (10, 2), (15, 3), (200, 4)], False),
        ([(5, 1), (10, 1), (60, 1)], False),
        ([(step * 5, 1) for step in range(20)], False),
        ([(step * 5, 1) for step in range(22)], True),
        ([*((step * 5, 1) for step in range(19)), (95, 2), *((step * 5, 2) for step in range(20, 39))], False),
        ([(5, 1), (10_000, 1), (10_005, 1)], False),
    ],
    ids=["signs", "few looks", "not yet", "stalled", "a late sign", "the container stood still"],
)
def test_looks(looks: list[tuple[float, int]], stalled: bool) -> None:
    """The same signs for as long as is allowed, counted in looks: no sign can be given while nothing runs."""
    watch = StallWatch(100, 0)
    assert [watch.look(signs, now) for now, signs in looks][-1] == stalled


HANGING = """
import sys, time
from pathlib import Path
from finetune_api.run_config import RunConfig
from finetune_trainer.stage.log_file import kept_log
from finetune_trainer.stage import stage
from finetune_trainer.stage.progress import ProgressPrinter
from finetune_trainer.stage.stage import run_stage

stage.LAST_WORDS = 3

def body():
    ProgressPrinter("prepare").show("asking the oracle", force=True)
    {body}

config = RunConfig.from_json(open(sys.argv[1], "rb").read())
with kept_log(Path(sys.argv[2])):
    sys.exit(run_stage("prepare", config, 1, body))
"""


@pytest.fixture
def full_pipe(tmp_path: Path) -> Iterator[None]:
    """What takes no byte more, as a file on a volume that is out of reach."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe, bytes(4096))
    yield
    os.close(pipe)


@pytest.mark.parametrize(
    ("body", "log"),
    [("time.sleep(600)", "log"), ("while True: pass", "log"), ("print('rows')", "pipe")],
    ids=["waits", "turns", "its log hangs"],
)
@pytest.mark.usefixtures("full_pipe")
def test_a_stage_that_hangs_ends_with_a_result(body: str, log: str, tmp_path: Path) -> None:
    """Exit code 43, with the limit and what it was doing; a template whose loop never ends is reported like a server that never answers.

    The log's volume may be what it hangs on.
    """
    config = run_config(tmp_path, limits={"stallTimeout": 1})
    (tmp_path / "run.json").write_text(config.to_json())
    program = [sys.executable, "-c", HANGING.format(body=body), str(tmp_path / "run.json"), str(tmp_path / log)]
    assert subprocess.run(program, timeout=120).returncode == ExitCode.STALLED
    error = StageResult.from_json(Workspace(tmp_path / "workspace").result("prepare").read_bytes()).error
    assert error is not None
    assert error.code == "Stalled"
    assert error.message == "prepare made no progress for 1 s (limits.stallTimeout); last activity: asking the oracle"


def test_what_a_process_does_is_seen(tmp_path: Path) -> None:
    """It reads, it computes, or its child does; one that sleeps does neither."""
    (tmp_path / "file").write_bytes(bytes(READ_BYTES + 1))
    read = f"open({str(tmp_path / 'file')!r}, 'rb').read()"
    compute = f"import time\nwhile time.process_time() < {CPU_SECONDS / 50}: pass"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {read!r}])"
    for program, moved in ((read, True), (child, True), (compute, False), ("pass", False)):
        with subprocess.Popen([sys.executable, "-c", f"{program}\nprint(1, flush=True); input()"], stdin=-1, stdout=-1) as process:
            assert process.stdout is not None and process.stdin is not None
            process.stdout.readline()
            assert (doings(process.pid)[1] >= 1) == moved
            assert (moved_bytes(process.pid) >= READ_BYTES) == moved
            assert cpu_seconds(process.pid) >= (CPU_SECONDS / 100 if program is compute else 0)
            before = doings(process.pid)
            time.sleep(0.1)
            assert doings(process.pid) == before
            process.stdin.write(b"\n")
            process.stdin.flush()
    assert doings(process.pid) == (0, 0)
