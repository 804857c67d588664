"""The memory that prepare expects of a training, against the measured peak of that training: python -m finetune_trainer train.

    python benchmarks/memory.py [--quick]

Real models, rows of random tokens, two steps on one CPU core. The peak is what the kernel noted of the training process
(VmHWM) and what the launcher beside it has for itself. The last line is one JSON object: claim, ratio (the worst of estimate / peak or
peak / estimate), ours (that estimate, bytes), theirs (that peak, bytes).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from finetune_api.result import DatasetSummary, Estimate, MemoryEstimate, PrepareSummary, ResolvedParameter
from finetune_api.run_config import RunConfig, RunHardware
from finetune_trainer.prepare.base.weights import Weights, read_weights
from finetune_trainer.prepare.fit.choice import TrainingFacts
from finetune_trainer.prepare.fit.fit import fit
from finetune_trainer.prepare.hyperparameters import Facts, resolve_hyperparameters
from finetune_trainer.sources.folder import Stored
from finetune_trainer.sources.local import LocalFolder
from finetune_trainer.sources.subject import Subject
from finetune_trainer.workspace.prepared import Prepared
from finetune_trainer.workspace.workspace import Workspace

ASSETS = Path(__file__).parent.parent / "examples" / "assets"
CLAIM = "the memory of a training on the CPU is foretold within 15 %"
AT_MOST = 1.15
BIG, TINY, MINILM = "smollm2-135m-instruct", "smollm2-tiny", "all-minilm-l6-v2"
LABELS = ["a", "b", "c"]
STEPS = 2
"""The second one is the first that has an optimizer with a state."""
MIB = 1 << 20


@dataclass(frozen=True)
class Case:
    """One training."""

    model: str
    method: str
    precision: str
    length: int
    """Tokens of an example."""
    batch: int
    """Examples of a step."""
    share: float = 0.5
    """Of the tokens that is supervised."""
    checkpointing: bool = False
    task: str = "chat"

    @property
    def name(self) -> str:
        """For the table."""
        how = "recomputed" if self.checkpointing else ""
        return f"{self.model:22} {self.method:5} {self.precision} {self.length:5} x {self.batch:<3} {how}"


QUICK = (
    Case(TINY, "lora", "bf16", 256, 8),
    Case(TINY, "full", "fp32", 256, 8),
    Case(MINILM, "full", "fp32", 128, 16, task="sequence-classification"),
)
CASES = (
    *QUICK,
    Case(MINILM, "lora", "bf16", 128, 16, task="sequence-classification"),
    Case(MINILM, "full", "bf16", 256, 8, task="token-classification"),
    Case(TINY, "full", "bf16", 1024, 2),
    Case(TINY, "lora", "fp32", 128, 4),
    Case(BIG, "lora", "bf16", 128, 4),
    Case(BIG, "lora", "bf16", 1024, 1),
    Case(BIG, "lora", "bf16", 256, 4, 0.1),
    Case(BIG, "lora", "bf16", 256, 4, checkpointing=True),
    Case(BIG, "lora", "fp32", 256, 2),
    Case(BIG, "qlora", "bf16", 256, 4),
    Case(BIG, "qlora", "fp32", 256, 2),
    Case(BIG, "full", "bf16", 512, 2),
    Case(BIG, "full", "bf16", 256, 4, checkpointing=True),
    Case(BIG, "full", "fp32", 128, 4),
)


def main() -> None:
    """Measures and hashes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three small models only")
    arguments = parser.parse_args()
    base, worst = assets(), (0.0, 0, 0)
    print(f"{'model':22} method   tokens      {'estimate':>23} {'peak':>9}")
    for case in QUICK if arguments.quick else CASES:
        with tempfile.TemporaryDirectory() as folder:
            ours, theirs = measure(case, base / case.model, Path(folder))
        print(f"{case.name:50} {ours // MIB:6} MiB {theirs // MIB:6} MiB {ours / theirs - 1:+6.1%}", flush=True)
        worst = max(worst, (max(ours / theirs, theirs / ours), ours, theirs))
    ratio, ours, theirs = worst
    print(json.dumps({"claim": CLAIM, "ratio": round(ratio, 3), "at_most": AT_MOST, "ours": ours, "theirs": theirs, "unit": "bytes"}))


def measure(
    case: Case,
    base: Path,
    folder: Path,
    hardware: RunHardware | None = None,
    watch: "Callable[[subprocess.Popen[bytes]], int] | None" = None,
) -> tuple[int, int]:
    """The estimate and the peak, in bytes; the peak is what `watch` sees until the training ends."""
    config = run_config(case, folder).model_copy(update={"hardware": hardware or RunHardware()})
    memory = prepare(case, config, base)
    path = folder / "run.json"
    path.write_text(config.to_json())
    with (folder / "log").open("w+b") as log:
        command = [sys.executable, "-m", "finetune_trainer", "train", "--run", str(path), "--attempt", "1"]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        with subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment) as launcher:
            peak = (watch or host_memory)(launcher)
        if launcher.returncode:
            log.seek(0)
            raise RuntimeError(f"{case.name}: the training failed:\n{log.read().decode()[-4000:]}")
    return memory.total, peak


def host_memory(launcher: "subprocess.Popen[bytes]") -> int:
    """What the worker had at most, and what the launcher has for itself."""
    worker, own = 0, 0
    while launcher.poll() is None:
        own = max(own, status(launcher.pid, "RssAnon"))
        for child in children(launcher.pid):
            worker = max(worker, status(child, "VmHWM"))
        time.sleep(0.05)
    return worker + own


def children(pid: int) -> list[int]:
    """Process ids."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def status(pid: int, name: str) -> int:
    """A value of /proc/PID/status in bytes, 0 when the process has gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)


def run_config(case: Case, folder: Path) -> RunConfig:
    """The run of a case."""
    hyper = {
        "maxSteps": STEPS, "batchSize": case.batch, "precision": case.precision, "gradientCheckpointing": case.checkpointing,
        "maxSequenceLength": case.length,
    }  # fmt: skip
    settings: dict[str, Any] = {
        "job": {"name": "memory", "specDigest": "memory"},
        "task": case.task,
        "base": {"source": {"uri": "unused"}},
        "dataset": {"train": {"uri": "unused"}, "split": {}},
        "method": {"type": case.method},
        "hyperparameters": hyper,
        "checkpoints": {"everySteps": 100},
        "outputModel": "memory",
        "paths": {"workspace": str(folder / "workspace"), "model": str(folder / "model")},
    }
    return RunConfig.model_validate(settings)


def prepare(case: Case, config: RunConfig, base: Path) -> MemoryEstimate:
    """Leaves in the workspace what prepare leaves there, with rows of random tokens; returns the estimate."""
    workspace, weights = Workspace(config.paths.workspace), weights_of(base)
    model = json.loads((base / "config.json").read_text())
    rows = 2 * case.batch
    lengths = np.full(rows, case.length, dtype=np.int64)
    labels = LABELS if case.task.endswith("classification") else []
    write_rows(workspace.train_rows, case, rows, model["vocab_size"])
    decided = resolve_hyperparameters(config, Facts(rows, ResolvedParameter(value=case.length, reason=""), weights.parameters))
    supervised = np.ones_like(lengths) if case.task == "sequence-classification" else (lengths * case.share).astype(np.int64)
    found = fit(config, decided, TrainingFacts(model, weights, lengths, supervised, len(labels)))
    counts = DatasetSummary(train_examples=rows, validation_examples=0, train_tokens=0, supervised_tokens=0, digest="")
    space = Estimate(model_bytes=0, workspace_bytes=0)
    summary = PrepareSummary(dataset=counts, hyperparameters={}, total_steps=STEPS, estimate=space, base_digest="", base_parameters=0)
    prepared = Prepared(
        spec_digest="memory",
        base_path=str(base),
        method=found.decided.method,
        hyperparameters=found.decided.values,
        labels=labels,
        summary=summary,
        files={},
    )
    workspace.prepared.write_text(prepared.to_json())
    return found.memory


def weights_of(base: Path) -> Weights:
    """The headers of the only file."""
    subject = Subject("base", "", "")
    return read_weights(LocalFolder(base, subject), {"model.safetensors": Stored((base / "model.safetensors").stat().st_size)}, subject)


def write_rows(path: Path, case: Case, count: int, vocabulary: int) -> None:
    """Rows of random tokens: the same ones every time."""
    draw = np.random.default_rng(1)
    ids = pa.array([draw.integers(5, vocabulary, size=case.length).tolist() for _ in range(count)], pa.list_(pa.int32()))
    learned = [place >= case.length * (1 - case.share) for place in range(case.length)]
    columns: dict[str, pa.Array] = {"input_ids": ids}
    if case.task == "chat":
        columns["loss_mask"] = pa.array([learned] * count, pa.list_(pa.bool_()))
    else:
        tags = [1 if asked else -100 for asked in learned] if case.task == "token-classification" else [1]
        columns["token_type_ids"] = pa.array([[0] * case.length] * count, pa.list_(pa.int8()))
        columns["labels"] = pa.array([tags] * count, pa.list_(pa.int32()))
    table = pa.table(columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def assets() -> Path:
    """The project's folder of small models."""
    return Path(subprocess.run([sys.executable, ASSETS], check=True, capture_output=True, text=True).stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
