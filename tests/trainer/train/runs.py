"""Runs of the train stage as programs, on workspaces that look as prepare leaves them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from finetune_api.progress import Progress, last_progress
from finetune_api.result import DatasetSummary, Estimate, PrepareSummary, StageResult
from finetune_api.run_config import HALVE_VARIABLE, RunConfig, RunMethod, RunStrategy
from finetune_trainer.data.tokens.arrow import final_schema
from finetune_trainer.distributed.network import free_port
from finetune_trainer.train.loop.metrics import StepMetrics, read_metrics
from finetune_trainer.trained import TrainedRun
from finetune_trainer.workspace.checksums import sums_of
from finetune_trainer.workspace.prepared import Prepared, ResolvedHyperparameters
from finetune_trainer.workspace.workspace import Workspace

T = TypeVar("T")
DIGEST = "spec-1"
OWNER = f"{DIGEST} b d"
"""What checkpoints of these runs are sealed for: spec, base, data."""
ROWS = 22
VALIDATION_ROWS = 9
HYPER: dict[str, Any] = {
    "total_steps": 6,
    "steps_per_epoch": 4,
    "batch_size": 6,
    "learning_rate": 1e-3,
    "scheduler": "linear",
    "warmup_steps": 1,
    "weight_decay": 0.01,
    "max_grad_norm": 1.0,
    "max_sequence_length": 64,
    "precision": "fp32",
    "seed": 7,
    "checkpoint_every": 2,
    "micro_batch_tokens": 60,
}
LORA: dict[str, Any] = {"type": "lora", "lora": {"rank": 4, "alpha": 8, "dropout": 0.0, "targetModules": ["all-linear"]}}
FULL = {"type": "full"}
DDP = RunStrategy(type="ddp")
FSDP = RunStrategy(type="fsdp", sharding="full")
ZERO = {stage: RunStrategy(type="deepspeed", zero_stage=stage) for stage in (1, 2, 3)}
"""By stage."""


def write_rows(path: Path, count: int, vocabulary: int) -> None:
    """Rows of 6 to 30 tokens with a supervised second half; the same ones every time."""
    random = np.random.default_rng(1)
    lengths = random.integers(6, 31, size=count)
    ids = [random.integers(5, vocabulary, size=length).tolist() for length in lengths]
    masks = [[place >= length // 2 for place in range(length)] for length in lengths]
    write_table(path, ids, masks)


def write_table(path: Path, ids: list[list[int]], masks: list[list[bool]]) -> None:
    """Rows of a file that has an empty line before each."""
    schema = final_schema("language", "rows.jsonl")
    columns = [ids, masks, [f"line {2 * row}" for row in range(1, len(ids) + 1)]]
    table = pa.table([pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema)
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=8)  # several record batches, as prepare streams them


def prepare_workspace(
    root: Path, base: Path, *, method: dict[str, Any] = LORA, rows: int = ROWS, strategy: RunStrategy = DDP, **hyper: Any
) -> Workspace:
    """What prepare leaves behind for a language model."""
    workspace = Workspace(root)
    vocabulary = json.loads((base / "config.json").read_text())["vocab_size"]
    write_rows(workspace.train_rows, rows, vocabulary)
    write_rows(workspace.validation_rows, VALIDATION_ROWS, vocabulary)
    write_prepared(workspace, base, method, rows, hyper, strategy=strategy)
    return workspace


def write_prepared(workspace: Workspace, base: Path, method: dict[str, Any], rows: int, hyper: dict[str, Any], **more: Any) -> None:
    """prepared.json for these rows; `more` are its other fields."""
    dataset = DatasetSummary(train_examples=rows, validation_examples=0, train_tokens=0, supervised_tokens=0, digest="d")
    values = ResolvedHyperparameters(**(HYPER | hyper))
    summary = PrepareSummary(
        dataset=dataset,
        hyperparameters={},
        total_steps=values.total_steps,
        estimate=Estimate(model_bytes=0, workspace_bytes=0),
        base_digest="b",
        base_parameters=0,
    )
    prepared = Prepared(
        spec_digest=DIGEST,
        base_path=str(base),
        hyperparameters=values,
        method=RunMethod.model_validate(method),
        eos_token_ids=[2],
        summary=summary,
        files=sums_of(workspace.root, [workspace.train_rows]),
        **more,
    )
    workspace.root.mkdir(parents=True, exist_ok=True)
    workspace.prepared.write_text(prepared.to_json())


@dataclass
class Run:
    """One workspace and the attempts that were made on it."""

    workspace: Workspace
    method: dict[str, Any] = field(default_factory=lambda: LORA)
    task: str = "chat"
    nodes: int = 1
    processes: int = 1
    limits: dict[str, float] = field(default_factory=lambda: {"startDeadline": 300, "stallTimeout": 300})
    keep: int = 10
    store: dict[str, Any] | None = None
    """Of copies of the checkpoints."""
    tracking: dict[str, Any] = field(default_factory=dict)
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    strategy: RunStrategy = field(init=False)
    """As prepared.json has it at first: a test may damage the file."""

    def __post_init__(self) -> None:
        self.strategy = Prepared.from_json(self.workspace.prepared.read_bytes()).strategy

    def config(self) -> RunConfig:
        """The run config of every attempt."""
        return RunConfig.model_validate(
            {
                "job": {"name": "job", "uid": "1f", "specDigest": DIGEST},
                "task": self.task,
                "base": {"source": {"uri": "unused"}},
                "dataset": {"train": {"uri": "unused"}},
                "method": self.method,
                "strategy": self.strategy.model_dump(),
                "checkpoints": {"keep": self.keep, "store": self.store},
                "tracking": self.tracking,
                "hyperparameters": self.hyperparameters,
                "outputModel": "model",
                "paths": {"workspace": str(self.workspace.root), "model": str(self.workspace.root / "model")},
                "world": {"nodes": self.nodes, "processesPerNode": self.processes},
                "limits": self.limits,
            }
        )

    def start(self, attempt: int = 1, node: int = 0, *, halved: bool = False) -> "Launched":
        """Starts one node's launcher."""
        path = self.workspace.root / "run.json"
        path.write_text(self.config().to_json())
        command = [sys.executable, "-m", "finetune_trainer", "train", "--run", str(path), "--attempt", str(attempt)]
        command += ["--node-rank", str(node), "--master", f"127.0.0.1:{self.port}"]
        output = self.workspace.root / f"log-{attempt}-{node}.txt"
        with output.open("wb") as log:
            environment = os.environ | {"OMP_NUM_THREADS": "1", HALVE_VARIABLE: str(int(halved))} | self.environment
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True)
        return Launched(process, output)

    def attempt(self, number: int = 1, *, halved: bool = False) -> int:
        """Runs all nodes of an attempt to the end; returns the code that they agree on."""
        launched = [self.start(number, node, halved=halved) for node in range(self.nodes)]
        codes = [one.wait() for one in launched]
        assert len(set(codes)) == 1, (codes, *(one.log() for one in launched))
        return codes[0]

    def result(self) -> StageResult:
        """What the stage left."""
        return StageResult.from_json(self.workspace.result("train").read_bytes())

    def metrics(self) -> list[StepMetrics]:
        """metrics.csv."""
        return read_metrics(self.workspace.metrics)

    def validations(self) -> list[StepMetrics]:
        """The validated steps of metrics.csv."""
        return [metrics for metrics in self.metrics() if metrics.valid_loss is not None]

    def losses(self) -> list[float]:
        """Loss of each step, to five decimals."""
        return [round(step.loss, 5) for step in self.metrics()]

    def trained_run(self) -> TrainedRun:
        """What publish sees of it."""
        return TrainedRun(self.config(), self.workspace, Prepared.from_json(self.workspace.prepared.read_bytes()), self.workspace.trained)

    def checkpoints(self) -> list[str]:
        """Checkpoints that are there, complete or not: attempt-1/checkpoint-2."""
        return sorted(path.relative_to(self.workspace.checkpoints).as_posix() for path in self.workspace.checkpoints.glob("*/*"))


@dataclass
class Launched:
    """A launcher that runs."""

    process: subprocess.Popen[bytes]
    output: Path

    def log(self) -> str:
        """What it and its ranks have printed."""
        return self.output.read_text(errors="replace")

    def progress(self) -> Progress | None:
        """The newest progress line."""
        return last_progress(self.log())

    def wait_for_step(self, step: int, workspace: Workspace) -> None:
        """Returns when `step` is in metrics.csv."""
        self.wait_until(lambda: any(metrics.step >= step for metrics in read_metrics(workspace.metrics)))

    def wait_until(self, condition: Callable[[], T], seconds: float = 240) -> T:
        """Returns what `condition` gives as soon as it is true; fails when the launcher ends before."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)
        return found

    def workers(self) -> dict[int, int]:
        """Process ids of its ranks, by rank."""
        found = {}
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in map(int, children):
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            rank = next((entry[5:] for entry in environment if entry.startswith(b"RANK=")), b"0")
            found[int(rank)] = pid
        return found

    def terminate(self) -> None:
        """What the kubelet does."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = 300) -> int:
        """The exit code."""
        return self.process.wait(seconds)
