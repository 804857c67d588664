"""What writing event files loads."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path
from finetune_api.run_config import RunConfig
from finetune_trainer.trackers.tensorboard import TENSORBOARD
from finetune_trainer.trackers.tracker import Outcome, TrackedRun
from finetune_trainer.workspace.workspace import Workspace

config = {"job": {"name": "bot"}, "base": {"source": {"uri": "/base"}}, "dataset": {"train": {"uri": "/rows"}}, "outputModel": "bot",
    "paths": {"workspace": sys.argv[1], "model": "/model"}}
run = TrackedRun("run", RunConfig.model_validate(config), Workspace(sys.argv[1]), 1, 0, {}, {})
CALL
sys.exit(" ".join({"boto3", "google.cloud.storage"} & set(sys.modules)) or 0)
"""
pytestmark = pytest.mark.unit
CALLS = {
    "open": "TENSORBOARD.open(run).finish('finished')",
    "report": "TENSORBOARD.report(run, Outcome(step=1, figures={'loss': 1.0}, tags={'gate': 'passed'}))",
}


@pytest.mark.parametrize("first", CALLS)
def test_no_client_of_an_object_store_is_loaded(first: str, tmp_path: Path) -> None:
    """By whichever call is the first of a process: it takes a quarter of a second of every training."""
    program = PROGRAM.replace("CALL", CALLS[first])
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert list((tmp_path / "runs" / "bot").glob("events.out.tfevents.*"))
