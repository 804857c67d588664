"""Training on a CPU beside a process that holds one of its cores, by how its threads wait:

    PYTHONPATH=. python benchmarks/neighbour.py [--rounds N]

The real train stage on the tiny model, an attempt per row and round, the rounds one after another so that a machine's moods hit
all rows alike. Tokens per second are the stage's own, over its last 20 steps.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from finetune_trainer.stage.cores import thread_settings
from finetune_trainer.train.loop.metrics import read_metrics
from tests.trainer.train.runs import Run, prepare_workspace

ASSETS = Path(__file__).parent.parent / "examples" / "assets"
STEPS = 30
SPINNING = {"OMP_WAIT_POLICY": "ACTIVE", "KMP_BLOCKTIME": "infinite"}
OPENMP = {"OMP_WAIT_POLICY": "", "KMP_BLOCKTIME": "200"}
"""The library's default: threads spin for a while."""
WAYS = {"as the stage does": {}, "as OpenMP does": OPENMP, "spinning": SPINNING, "one thread": {"OMP_NUM_THREADS": "1"}}


@contextmanager
def neighbour() -> Iterator[None]:
    """A process that holds the first core."""
    core = min(os.sched_getaffinity(0))
    process = subprocess.Popen([sys.executable, "-c", f"import os; os.sched_setaffinity(0, {{{core}}})\nwhile True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def speed(environment: dict[str, str], base: Path) -> float:
    """Tokens per second of one training."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = prepare_workspace(
            Path(folder) / "workspace", base, rows=240, total_steps=STEPS, steps_per_epoch=STEPS, batch_size=8, checkpoint_every=1000,
            micro_batch_tokens=256,
        )  # fmt: skip
        run = Run(workspace, environment=thread_settings({}) | environment)
        assert run.attempt() == 0
        return read_metrics(workspace.metrics)[-1].tokens_per_second


def main() -> None:
    """A table: the median of the rounds, and each of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    assets = subprocess.run([sys.executable, ASSETS], check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    measured: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for beside in ("quiet", "busy"):
            for way, environment in WAYS.items():
                with neighbour() if beside == "busy" else nullcontext():
                    measured.setdefault((way, beside), []).append(speed(environment, Path(assets) / "smollm2-tiny"))
    for (way, beside), speeds in measured.items():
        print(f"{way:20} {beside:6} {statistics.median(speeds):8.0f} tokens/s   {' '.join(f'{one:.0f}' for one in sorted(speeds))}")


if __name__ == "__main__":
    main()
