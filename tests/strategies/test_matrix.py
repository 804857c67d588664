"""Every strategy with every method, in 1, 2 and 2 x 2 processes: the losses of one process, and divergence that reaches no weight.

Each run starts real processes; the whole matrix belongs to make test-all.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from finetune_api.exit_codes import ExitCode
from finetune_api.run_config import RunStrategy
from finetune_trainer.language_model.rows import Rows
from finetune_trainer.publish.checkpoints import whole_weights
from finetune_trainer.step_plan import StepPlan
from finetune_trainer.train.checkpoints import checkpoint_at, complete_checkpoints
from finetune_trainer.workspace.prepared import Prepared
from tests.trainer.train.runs import DDP, FSDP, FULL, HYPER, LORA, ZERO, Run, prepare_workspace

pytestmark = [pytest.mark.strategies, pytest.mark.timeout(900)]
CLOSE = 1e-4
GRAD = RunStrategy(type="fsdp", sharding="grad")
TENSOR = RunStrategy(type="tensor-parallel", tensor_parallel_size=2)
STRATEGIES = [DDP, FSDP, GRAD, *ZERO.values(), TENSOR]
OFFLOADED = [
    RunStrategy(type="deepspeed", zero_stage=stage, offload=offload)
    for stage, offload in ((2, "optimizer"), (3, "optimizer"), (3, "parameters"))
]
LIMITS = {"startDeadline": 600.0, "stallTimeout": 600.0}
METHODS = {"lora": LORA, "full": FULL}
QLORA = LORA | {"type": "qlora"}


def named(strategy: RunStrategy) -> str:
    """For test ids."""
    settings = (strategy.type, strategy.sharding, strategy.zero_stage, strategy.offload)
    return "-".join(str(setting) for setting in settings if setting not in (None, "none"))


def within(strategy: RunStrategy, processes: int) -> RunStrategy:
    """The strategy for nodes of so many processes: one of them divides no layer."""
    return strategy.model_copy(update={"tensor_parallel_size": min(2, processes)}) if strategy == TENSOR else strategy


def trained(folder: Path, base: Path, method: str, strategy: RunStrategy, nodes: int, processes: int, **hyper: Any) -> Run:
    """A run from start to end."""
    settings = QLORA if method == "qlora" else METHODS[method]
    workspace = prepare_workspace(folder, base, method=settings, strategy=within(strategy, processes), **hyper)
    run = Run(workspace, settings, nodes=nodes, processes=processes, limits=LIMITS)
    assert run.attempt() == ExitCode.OK
    return run


def resumed(folder: Path, base: Path, method: str, strategy: RunStrategy, before: int, after: int) -> Run:
    """A run with a checkpoint after each step that one number of processes begins, and another one resumes after step 3."""
    workspace = prepare_workspace(folder, base, method=METHODS[method], strategy=within(strategy, before), checkpoint_every=1)
    run = Run(workspace, METHODS[method], processes=before, limits=LIMITS)
    launched = run.start()
    launched.wait_for_step(3, workspace)
    launched.terminate()
    assert launched.wait() == ExitCode.PREEMPTED
    run.processes = after
    prepared = Prepared.from_json(workspace.prepared.read_bytes())
    workspace.prepared.write_text(prepared.model_copy(update={"strategy": within(strategy, after)}).to_json())
    assert run.attempt(2) == ExitCode.OK
    return run


@pytest.fixture(scope="session", params=METHODS)
def alone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Run:
    """One process with ddp."""
    return trained(tmp_path_factory.mktemp("alone") / "workspace", tiny, request.param, DDP, 1, 1)


@pytest.mark.parametrize(("nodes", "processes"), [(1, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("strategy", STRATEGIES, ids=named)
def test_losses(strategy: RunStrategy, nodes: int, processes: int, tmp_path: Path, tiny: Path, alone: Run) -> None:
    """The same seed and global batch give the same losses and gradient norms, however the model is spread."""
    run = trained(tmp_path / "workspace", tiny, alone.method["type"], strategy, nodes, processes)
    assert run.losses() == pytest.approx(alone.losses(), abs=CLOSE)
    assert [step.grad_norm for step in run.metrics()] == pytest.approx([step.grad_norm for step in alone.metrics()], rel=1e-3)


@pytest.fixture(scope="session")
def quantized(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Run:
    """One process with ddp, on a base in nf4."""
    return trained(tmp_path_factory.mktemp("quantized") / "workspace", tiny, "qlora", DDP, 1, 1)


@pytest.mark.parametrize(("nodes", "processes"), [(1, 2), (2, 2)])
@pytest.mark.parametrize("strategy", [*STRATEGIES[:-1], OFFLOADED[-1]], ids=named)
def test_losses_on_a_quantized_base(strategy: RunStrategy, nodes: int, processes: int, tmp_path: Path, tiny: Path, quantized: Run) -> None:
    """Ranks that divide it gather the same weights: equal losses and norms, and the adapter of one process."""
    run = trained(tmp_path / "workspace", tiny, "qlora", strategy, nodes, processes)
    assert run.losses() == pytest.approx(quantized.losses(), abs=CLOSE)
    assert [step.grad_norm for step in run.metrics()] == pytest.approx([step.grad_norm for step in quantized.metrics()], rel=1e-3)
    adapter, wanted = (load_file(one.workspace.trained / "adapter" / "adapter_model.safetensors") for one in (run, quantized))
    assert adapter.keys() == wanted.keys()
    assert all(torch.allclose(adapter[name], wanted[name], atol=CLOSE) for name in wanted)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("strategy", STRATEGIES[1:], ids=named)
def test_bf16(strategy: RunStrategy, method: str, tmp_path: Path, tiny: Path) -> None:
    """Computed in bf16, kept and published in fp32: near the losses of one process."""
    one, two = (
        trained(tmp_path / name, tiny, method, used, 1, count, precision="bf16")
        for name, used, count in (("one", DDP, 1), ("two", strategy, 2))
    )
    assert two.losses() == pytest.approx(one.losses(), rel=0.02)
    (weights,) = two.workspace.trained.glob("*/*.safetensors")
    assert {weight.dtype for weight in load_file(weights).values()} == {torch.float32}


@pytest.mark.parametrize("strategy", OFFLOADED, ids=named)
def test_losses_with_offload(strategy: RunStrategy, tmp_path: Path, tiny: Path, alone: Run) -> None:
    """What is kept and updated on the host is the same."""
    run = trained(tmp_path / "workspace", tiny, alone.method["type"], strategy, 1, 2)
    assert run.losses() == pytest.approx(alone.losses(), abs=CLOSE)
    assert [step.grad_norm for step in run.metrics()] == pytest.approx([step.grad_norm for step in alone.metrics()], rel=1e-3)


@pytest.mark.parametrize("strategy", STRATEGIES[1:], ids=named)
def test_selective_checkpointing(strategy: RunStrategy, tmp_path: Path, tiny: Path, alone: Run) -> None:
    """Changes no loss and no norm, wherever the results of products are parts of a whole."""
    selective = {"gradient_checkpointing": True, "gradient_checkpointing_policy": "selective"}
    run = trained(tmp_path / "workspace", tiny, alone.method["type"], strategy, 1, 2, **selective)
    assert run.losses() == pytest.approx(alone.losses(), abs=CLOSE)
    assert [step.grad_norm for step in run.metrics()] == pytest.approx([step.grad_norm for step in alone.metrics()], rel=1e-3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("strategy", [FSDP, TENSOR], ids=named)
def test_fp16(strategy: RunStrategy, method: str, tmp_path: Path, tiny: Path) -> None:
    """Near the losses of fp32 in one process, and so are the norms, without the scale; what is published is fp32."""
    one, two = (
        trained(tmp_path / name, tiny, method, used, 1, count, precision=precision, learning_rate=1e-6)
        for name, used, count, precision in (("one", DDP, 1, "fp32"), ("two", strategy, 2, "fp16"))
    )
    assert two.losses() == pytest.approx(one.losses(), rel=0.01)
    assert two.losses() != one.losses()
    norms = [(step.grad_norm, other.grad_norm) for step, other in zip(two.metrics(), one.metrics(), strict=True) if step.grad_norm]
    assert len(norms) >= 2
    assert [norm for norm, _ in norms] == pytest.approx([norm for _, norm in norms], rel=0.03)
    (weights,) = two.workspace.trained.glob("*/*.safetensors")
    assert {weight.dtype for weight in load_file(weights).values()} == {torch.float32}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("strategy", [FSDP, *ZERO.values(), TENSOR], ids=named)
@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 4)])
def test_another_number_of_processes_resumes(
    before: int, after: int, strategy: RunStrategy, method: str, tmp_path: Path, tiny: Path
) -> None:  # fmt: skip
    """All checkpoints but those of ddp fit any number of processes: the losses of a run that was not interrupted."""
    whole = trained(tmp_path / "whole", tiny, method, strategy, 1, 1)
    run = resumed(tmp_path / "workspace", tiny, method, strategy, before, after)
    assert run.losses() == pytest.approx(whole.losses(), abs=CLOSE)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("strategy", [*ZERO.values(), *OFFLOADED, TENSOR], ids=named)
def test_resumed_losses_are_equal(strategy: RunStrategy, precision: str, tmp_path: Path, tiny: Path) -> None:
    """Bit by bit, with as many processes as before: weights, their fp32 copies and the optimizer are those that were left."""
    settings: dict[str, Any] = {"precision": precision, "checkpoint_every": 1}
    whole = trained(tmp_path / "whole", tiny, "full", strategy, 1, 2, **settings)
    run = Run(prepare_workspace(tmp_path / "workspace", tiny, method=FULL, strategy=strategy, **settings), FULL, processes=2, limits=LIMITS)
    launched = run.start()
    launched.wait_for_step(3, run.workspace)
    launched.terminate()
    assert launched.wait() == ExitCode.PREEMPTED
    assert run.attempt(2) == ExitCode.OK
    assert [step.loss for step in run.metrics()] == [step.loss for step in whole.metrics()]
    (weights, others) = (load_file(one.workspace.trained / "model" / "model.safetensors") for one in (run, whole))
    assert all(torch.equal(weights[name], others[name]) for name in others)


@pytest.mark.parametrize("strategy", STRATEGIES[1:], ids=named)
def test_a_checkpoint_is_published_with_its_weights(strategy: RunStrategy, tmp_path: Path, tiny: Path, alone: Run) -> None:
    """What two processes have written in parts is put together by one, and is what ddp had at that step."""
    run = trained(tmp_path / "workspace", tiny, alone.method["type"], strategy, 1, 2)
    found, wanted = (
        whole_weights(one.trained_run(), checkpoint_at(one.workspace.checkpoints, 1, 4).path, tmp_path / "whole") for one in (run, alone)
    )
    (file,) = (path.name for path in found.glob("*.safetensors"))
    weights, others = load_file(found / file), load_file(wanted / file)
    assert weights.keys() == others.keys()
    assert all(torch.allclose(weights[name], others[name], atol=CLOSE) for name in weights)


def poisoned(base: Path, folder: Path, rows: Rows) -> Path:
    """The base with untied embeddings, NaN for a token that a single row has, which is in the second step."""
    seen = Counter(int(token) for row in range(len(rows.lengths)) for token in set(rows[row][0].tolist()))
    second = StepPlan(rows.lengths, rows.supervised, HYPER["batch_size"], HYPER["micro_batch_tokens"], HYPER["seed"]).examples(0, 1)
    token = min(token for row in second for token in rows[row][0].tolist() if seen[token] == 1)
    weights = load_file(base / "model.safetensors")
    embeddings = weights["model.embed_tokens.weight"]
    weights["lm_head.weight"] = embeddings.clone()
    embeddings[token] = float("nan")
    folder.mkdir()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((base / "config.json").read_text()) | {"tie_word_embeddings": False}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("strategy", STRATEGIES, ids=named)
def test_one_rank_diverges(strategy: RunStrategy, tmp_path: Path, tiny: Path) -> None:
    """A row whose loss is not a number, on one of two ranks: both end with DIVERGED before the update, and what was saved is finite."""
    rows = Rows(prepare_workspace(tmp_path / "rows", tiny).train_rows)
    base = poisoned(tiny, tmp_path / "base", rows)
    run = Run(prepare_workspace(tmp_path / "workspace", base, strategy=strategy, checkpoint_every=1), processes=2, limits=LIMITS)
    assert run.attempt() == ExitCode.DIVERGED
    assert [step.loss < 100 for step in run.metrics()] == [True]
    owner = Prepared.from_json(run.workspace.prepared.read_bytes()).identity
    saved = [
        load_file(file) for found in complete_checkpoints(run.workspace.checkpoints, owner) for file in found.path.rglob("*.safetensors")
    ]
    assert saved, "there is a checkpoint to look at"
    assert all(tensor.isfinite().all() for weights in saved for tensor in weights.values())
