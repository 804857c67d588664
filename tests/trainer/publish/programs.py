"""publish as a program that is ended from outside."""

import signal
import subprocess
import sys
from pathlib import Path

from finetune_api.run_config import RunConfig


def command(config: RunConfig, folder: Path) -> list[str]:
    """The program that publishes; its run config is written beside."""
    run = folder / "run.json"
    run.write_text(config.to_json())
    return [sys.executable, "-m", "finetune_trainer", "publish", "--run", str(run)]


def end_at(words: str, program: list[str], how: signal.Signals) -> int:
    """Starts a program and sends it a signal when it hashes `words`; returns its exit code."""
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert any(words in line for line in process.stdout), f"the program never said {words!r}"
        process.send_signal(how)
        process.stdout.read()
    return process.returncode
