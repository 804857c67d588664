"""The commands of docs/datasets.md, as a reader types them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_commands_of_the_page_work(tmp_path: Path, assets: Path) -> None:
    """kubectl finds the plug-in, and validates a file and a manifest, both with the base model."""
    (commands,) = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/datasets.md").read_text(), re.DOTALL)
    for name in ("train.jsonl", "validation.jsonl"):
        shutil.copyfile(assets / "support-bot" / name, tmp_path / name)
    shutil.copyfile(ROOT / "examples/support-bot/job.yaml", tmp_path / "job.yaml")
    (tmp_path / "smollm2-135m-instruct").symlink_to(assets / "smollm2-135m-instruct")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(["bash", "-ec", commands], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("valid\n") == 2 and "(JSONL, OpenAI chat): 360 of 400 rows" in done.stdout and "tokens" in done.stdout
