"""SIGTERM at any moment of any stage: the stage ends as interrupted and leaves nothing half done, or its work is complete.

FINETUNE_SIGTERMS is how many signals are sent in all, 6 unless it is set.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from finetune_api.exit_codes import ExitCode
from finetune_api.result import Stage, StageResult
from finetune_trainer.__main__ import main
from tests.trainer.test_pipeline import run_config

pytestmark = pytest.mark.trainer
SIGTERMS = int(os.environ.get("FINETUNE_SIGTERMS", "6"))
SHARES: dict[Stage, float] = {"prepare": 0.2, "train": 0.2, "publish": 0.5, "inspect": 0.1}
SIGTERM_BIT = 1 << (signal.SIGTERM - 1)


@dataclass
class Pipeline:
    """A job's folder, and how it was before each of its stages."""

    folder: Path
    before: dict[Stage, Path] = field(default_factory=dict)
    seconds: dict[Stage, float] = field(default_factory=dict)
    """How long an undisturbed stage listens for signals."""

    def start(self, stage: Stage) -> subprocess.Popen[str]:
        """Starts a stage; returns when it listens for signals."""
        command = [sys.executable, "-m", "finetune_trainer", stage]
        command += ["--model-dir", str(self.folder / "model")] if stage == "inspect" else ["--run", str(self.folder / "run.json")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        while not caught(process.pid) & SIGTERM_BIT:
            assert process.poll() is None, process.stdout and process.stdout.read()
            time.sleep(0.002)
        return process

    def put_back(self, stage: Stage) -> None:
        """As it was before the stage."""
        for name in ("workspace", "model"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            if (self.before[stage] / name).exists():
                shutil.copytree(self.before[stage] / name, self.folder / name)

    def complete(self, stage: Stage) -> bool:
        """What a success leaves behind: a result, of publish also a manifest that every file agrees with."""
        manifest = (self.folder / "model" / "MANIFEST.json").exists()
        if stage == "inspect":
            return True
        result = self.result(stage)
        assert stage != "publish" or not manifest or main(["inspect", "--model-dir", str(self.folder / "model")]) == 0
        return result is not None and result.error is None and (stage != "publish" or manifest)

    def result(self, stage: Stage) -> StageResult | None:
        """What the stage wrote last."""
        path = self.folder / "workspace" / "results" / f"{stage}.json"
        return StageResult.from_json(path.read_bytes()) if path.exists() else None


def caught(pid: int) -> int:
    """The signals that a process has handlers for, a bit each."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next((line.split()[1] for line in lines if line.startswith("SigCgt:")), "0"), 16)


@pytest.fixture(scope="module")
def pipeline(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """All stages once, undisturbed."""
    root = tmp_path_factory.mktemp("interrupted")
    found = Pipeline(root / "job")
    found.folder.mkdir()
    settings = run_config(assets, found.folder, {"type": "lora", "lora": {"rank": 4, "alpha": 8}})
    (found.folder / "run.json").write_text(json.dumps(settings))
    for stage in SHARES:
        found.before[stage] = Path(shutil.copytree(found.folder, root / f"before-{stage}"))
        process = found.start(stage)
        began = time.monotonic()
        output, _ = process.communicate()
        assert process.returncode == 0, output
        found.seconds[stage] = time.monotonic() - began
    yield found
    shutil.rmtree(root)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("stage", SHARES)
def test_sigterm_at_any_moment(pipeline: Pipeline, stage: Stage) -> None:
    """42 and nothing that looks finished, or 0 and all of it; whatever came before, the next attempt starts from there."""
    pipeline.put_back(stage)
    moments = max(1, round(SIGTERMS * SHARES[stage]))
    for number in range(moments):
        moment = (number + random.random()) / moments * pipeline.seconds[stage]
        process = pipeline.start(stage)
        time.sleep(moment)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate()
        where = f"SIGTERM {moment:.2f} s after the start of {stage}, which ended with {process.returncode}:\n{output}"
        assert process.returncode in (ExitCode.OK, ExitCode.PREEMPTED), where
        if process.returncode == ExitCode.OK:
            assert pipeline.complete(stage), where
            pipeline.put_back(stage)
        else:
            result = pipeline.result(stage)
            assert stage == "inspect" or result is None or result.exit_code == ExitCode.PREEMPTED, where
            assert stage != "publish" or not (pipeline.folder / "model" / "MANIFEST.json").exists(), where
        assert living(pipeline.folder) == [], where


def living(folder: Path) -> list[str]:
    """Command lines of processes about a folder that have outlived their stage."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has just ended
            continue
        found += [line] if str(folder) in line else []
    return found
