"""What the GPU tests consist of, on a CPU: their models, their plain loop, their table, and what they skip."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from finetune_api.resources.learning import Precision
from finetune_trainer.language_model.rows import Rows
from tests.gpu.gradients import packed_against_single
from tests.gpu.hardware import reason
from tests.gpu.models import Size, random_llama, random_mistral
from tests.gpu.plain import plain_losses
from tests.gpu.runs import QLORA, new_run, peak_of, worst
from tests.gpu.table import NOT_BUILT, Row, Table
from tests.trainer.train.conftest import run_here
from tests.trainer.train.runs import FULL, write_rows

pytestmark = [pytest.mark.trainer, pytest.mark.filterwarnings("ignore")]
TINY = Size(256, 128, 2, 512)
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("needed", "found", "capability", "bf16", "expected"),
    [
        (1, 0, (0, 0), False, "no GPU: no driver"),
        (2, 1, (9, 0), False, "needs 2 GPUs, this machine has 1"),
        (1, 1, (7, 5), True, "needs bf16 (compute capability 8.0), this GPU has 7.5"),
        (1, 1, (7, 5), False, ""),
        (2, 2, (8, 0), True, ""),
    ],
)
def test_reasons(needed: int, found: int, capability: tuple[int, int], bf16: bool, expected: str) -> None:
    """A test is skipped for the GPUs that are not there, or for what they cannot do."""
    assert reason(needed, found, "no driver. Install one", capability, bf16=bf16) == expected


def test_the_table(tmp_path: Path) -> None:
    """Every test has a line, with its figures or the reason why there are none, and so has what is not built."""
    table = Table(
        {"GPUs": "H100"}, [Row("a: b[x|y]", "passed", figures={"peak_MiB": 12, "ratio": 0.123456}), Row("c: d", "skipped", "one")]
    )
    table.write(tmp_path)
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert lines[:1] == ["GPUs: H100"]
    assert "| a: b[x\\|y] | passed | peak MiB 12, ratio 0.1235 |" in lines
    assert "| c: d | skipped | one |" in lines
    assert len([line for line in lines if "| not built |" in line]) == len(NOT_BUILT)
    content = json.loads((tmp_path / "table.json").read_text())
    assert content["tests"][0]["figures"] == {"peak_MiB": 12, "ratio": 0.123456}


@pytest.mark.parametrize("method", [QLORA, FULL], ids=["qlora", "full"])
def test_the_plain_loop(method: dict[str, Any], tmp_path: Path) -> None:
    """In a process of its own, it has the losses of the trainer."""
    run = new_run(tmp_path / "workspace", random_llama(tmp_path / "base", TINY), method, total_steps=3)
    run_here(run)
    assert worst(run.losses(), plain_losses(run)) < 1e-4


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_packed_and_single(family: str, precision: Precision, tmp_path: Path) -> None:
    """Loss and gradient of packed examples, with grouped queries and with a sliding window."""
    base = random_llama(tmp_path / "base", TINY) if family == "llama" else random_mistral(tmp_path / "base", TINY, 8)
    write_rows(tmp_path / "train.arrow", 6, TINY.vocabulary)
    difference, cosine = packed_against_single(base, Rows(tmp_path / "train.arrow"), 6, precision, "cpu")
    assert difference < (1e-5 if precision == "fp32" else 2e-3)
    assert cosine > (0.99999 if precision == "fp32" else 0.999)


def test_the_peak_while_a_process_runs() -> None:
    """The most that was in use at a time, without what was in use before."""
    seen = iter([100, 130, 190, 150])
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:

        def in_use(_: int) -> int:
            found = next(seen)
            if found == 150:
                process.kill()
                process.wait()
            return found

        assert peak_of(process, in_use=in_use) == 90


def test_without_a_gpu_everything_is_skipped(tmp_path: Path) -> None:
    """All files are collected, no test fails, and the table says why."""
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "FINETUNE_GPU_TABLE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "tests/gpu"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
    tests = json.loads((tmp_path / "table.json").read_text())["tests"]
    assert {test["test"].split(":")[0] for test in tests} == {
        path.stem.removeprefix("test_") for path in (ROOT / "tests/gpu").glob("test_*.py")
    }
    assert {(test["outcome"], test["reason"].split(":")[0]) for test in tests} == {("skipped", "no GPU")}
