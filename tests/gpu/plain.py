"""The losses of a plain training loop on the CPU, in fp32, in a process that sees no GPU: python -m tests.gpu.plain KIND ROOT METHOD TASK.

`kind` is language, pairs, rated, or that of a classifier (tests/trainer/train/labelled.py); the last line printed has the losses.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.trainer.train.runs import Run

ROOT = Path(__file__).parents[2]


def plain_losses(run: Run, kind: str = "language") -> list[float]:
    """Loss of each step of the run's workspace, whatever it was trained on."""
    command = [sys.executable, "-m", "tests.gpu.plain", kind, str(run.workspace.root), json.dumps(run.method), run.task]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the plain loop failed:\n{done.stderr[-4000:]}")
    losses: list[float] = json.loads(done.stdout.splitlines()[-1])
    return losses


def main(kind: str, root: str, method: str, task: str) -> None:
    """In the process without a GPU."""
    from finetune_trainer.workspace.workspace import Workspace

    settings: dict[str, Any] = json.loads(method)
    figures = loop(kind, Run(Workspace(Path(root)), settings, task=task))
    print(json.dumps([loss for loss, _ in figures]))


def loop(kind: str, run: Run) -> list[tuple[float, float]]:
    """Loss and gradient norm of each step."""
    if kind == "language":
        from tests.trainer.train.blackboard import train_language_model

        return train_language_model(run)
    if kind == "pairs":
        from tests.trainer.train.test_preferences import blackboard

        return blackboard(run)
    if kind == "rated":
        from tests.trainer.train.test_rated import blackboard as rated

        return rated(run)
    from tests.trainer.train.test_classifiers import blackboard as classifier

    return classifier(run, kind)


if __name__ == "__main__":
    main(*sys.argv[1:])
