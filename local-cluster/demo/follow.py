"""Follows a FineTuneJob on the terminal until it ends: follow.py NAMESPACE NAME. Exit code 1 when it fails."""

import shutil
import subprocess
import sys
import time
from typing import Any

from kubectl import get

WIDTH = 24


def line(job: dict[str, Any]) -> str:
    """One line: phase, bar, percentage and steps, loss, speed, time left."""
    status = job.get("status", {})
    progress = status.get("progress", {})
    step, total = progress.get("step"), progress.get("totalSteps")
    words = [f"{status.get('phase', 'Pending'):<10}"]
    if step is not None and total:
        full = WIDTH * min(step, total) // total
        words.append(f"[{'#' * full}{'.' * (WIDTH - full)}] {100 * min(step, total) // total}% ({step}/{total})")
    if status.get("lossText"):
        words.append(f"loss {status['lossText']}")
    if progress.get("tokensPerSecond"):
        words.append(f"{progress['tokensPerSecond']:.0f} tokens/s")
    if status.get("eta"):
        words.append(f"ETA {status['eta']}")
    activity = progress.get("activity") or ready_message(status)
    return "  ".join([*words, activity or ""]).rstrip()


def ready_message(status: dict[str, Any]) -> str:
    """What condition Ready says."""
    found = (c.get("message", "") for c in status.get("conditions", []) if c["type"] == "Ready")
    return str(next(found, ""))


def main(namespace: str, name: str) -> int:
    """Rewrites one line on a terminal; elsewhere prints a line whenever it has changed."""
    terminal, shown = sys.stdout.isatty(), ""
    while True:
        try:
            job = get("finetunejob", name, namespace)
        except subprocess.CalledProcessError as exc:
            text, phase = f"waiting for the API server: {exc.stderr.strip()}", ""
        else:
            text, phase = line(job), job.get("status", {}).get("phase", "")
        if text != shown:
            columns = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{text[:columns]}" if terminal else text, end="" if terminal else "\n", flush=True)
            shown = text
        if phase in ("Succeeded", "Failed", "Cancelled"):
            print()
            return 0 if phase == "Succeeded" else 1
        time.sleep(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
