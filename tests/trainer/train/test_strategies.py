"""Strategies beside DDP: the same losses, checkpoints that another number of processes can resume, the same files in the end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import Qwen3Config, Qwen3ForCausalLM

from finetune_api.exit_codes import ExitCode
from finetune_api.run_config import RunStrategy
from finetune_trainer.failure import StageFailure
from finetune_trainer.language_model.rows import Rows
from finetune_trainer.publish.checkpoints import whole_weights
from finetune_trainer.step_plan import StepPlan
from finetune_trainer.train.checkpoints import checkpoint_at
from finetune_trainer.workspace.prepared import Prepared
from tests.trainer.train.conftest import run_here
from tests.trainer.train.runs import DDP, FSDP, FULL, HYPER, ZERO, Run, prepare_workspace

pytestmark = [pytest.mark.trainer, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]
CLOSE = 1e-4


def same_model(one: Path, other: Path) -> bool:
    """Equal weights, and a config that loads as the same class."""
    first, second = (load_file(folder / "model.safetensors") for folder in (one, other))
    architectures = [json.loads((folder / "config.json").read_text())["architectures"] for folder in (one, other)]
    near = (torch.allclose(first[name], second[name], atol=CLOSE) for name in first)
    return first.keys() == second.keys() and architectures[0] == architectures[1] and all(near)


def test_shards_of_two_processes_are_resumed_by_one(tmp_path: Path, tiny: Path, alone_full: Run) -> None:
    """Full fine-tuning of a model with tied embeddings by fsdp: the losses and the weights of one process with ddp, through a change
    of the number of processes."""
    hyper = {"checkpoint_every": 1, "validation_every": 2, "validation_examples": 7}
    run = Run(prepare_workspace(tmp_path / "workspace", tiny, method=FULL, strategy=FSDP, **hyper), method=FULL, processes=2)
    launched = run.start()
    launched.wait_for_step(3, run.workspace)
    launched.terminate()
    assert launched.wait() == ExitCode.PREEMPTED, launched.log()
    run.processes = 1
    run_here(run, 2)
    assert run.losses() == pytest.approx(alone_full.losses(), abs=CLOSE)
    validated, wanted = ([point.valid_loss for point in one.validations()] for one in (run, alone_full))
    assert validated == pytest.approx(wanted, abs=CLOSE)
    assert same_model(run.workspace.trained / "model", alone_full.workspace.trained / "model")


def test_zero_of_two_processes_is_resumed_by_one(tmp_path: Path, tiny: Path, alone_full: Run) -> None:
    """deepspeed with all weights, gradients and optimizer states divided: the same losses and the same model again."""
    run = Run(prepare_workspace(tmp_path / "workspace", tiny, method=FULL, strategy=ZERO[3], checkpoint_every=1), method=FULL, processes=2)
    launched = run.start()
    launched.wait_for_step(3, run.workspace)
    launched.terminate()
    assert launched.wait() == ExitCode.PREEMPTED, launched.log()
    run.processes = 1
    assert run.attempt(2) == ExitCode.OK
    assert run.losses() == pytest.approx(alone_full.losses(), abs=CLOSE)
    assert same_model(run.workspace.trained / "model", alone_full.workspace.trained / "model")
    checkpoint = checkpoint_at(run.workspace.checkpoints, 2, 5).path
    whole = load_file(whole_weights(run.trained_run(), checkpoint, tmp_path / "whole") / "model.safetensors")
    written = {name: tensor for file in (checkpoint / "weights").iterdir() for name, tensor in load_file(file).items()}
    assert whole.keys() == written.keys() and all(torch.equal(whole[name], written[name]) for name in whole)


def test_factors_are_divided_among_two_processes(tmp_path: Path, tiny: Path) -> None:
    """IA3 by fsdp, whose vectors of one row leave a rank without a part: the losses and the factors of one process."""
    method, runs = {"type": "ia3"}, []
    for strategy, processes in ((DDP, 1), (FSDP, 2)):
        workspace = prepare_workspace(tmp_path / strategy.type, tiny, method=method, strategy=strategy, learning_rate=0.01, total_steps=3)
        runs.append(Run(workspace, method, processes=processes))
        assert runs[-1].attempt() == ExitCode.OK
    assert runs[1].losses() == pytest.approx(runs[0].losses(), abs=CLOSE)
    alone, divided = (load_file(run.workspace.trained / "adapter" / "adapter_model.safetensors") for run in runs)
    assert alone.keys() == divided.keys() and all(torch.allclose(divided[name], alone[name], atol=CLOSE) for name in alone)
    assert min(float((factors - 1).abs().max()) for factors in divided.values()) > 0.01


@pytest.mark.parametrize("name", ["even", "experts"])
def test_two_processes_divide_the_layers(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """tensor-parallel: the losses and the weights of one process, and a checkpoint that one process resumes; so it is with experts,
    whose gates and up-projections are one tensor of which each process has two parts."""
    base: Path = request.getfixturevalue(name)
    alone = Run(prepare_workspace(tmp_path / "alone", base, method=FULL, checkpoint_every=100), method=FULL)
    run_here(alone)
    divided = RunStrategy(type="tensor-parallel", tensor_parallel_size=2)
    workspace = prepare_workspace(tmp_path / "workspace", base, method=FULL, strategy=divided, checkpoint_every=1)
    run = Run(workspace, method=FULL, processes=2)
    launched = run.start()
    launched.wait_for_step(3, workspace)
    launched.terminate()
    assert launched.wait() == ExitCode.PREEMPTED, launched.log()
    prepared = Prepared.from_json(workspace.prepared.read_bytes())
    whole = prepared.strategy.model_copy(update={"tensor_parallel_size": 1})
    workspace.prepared.write_text(prepared.model_copy(update={"strategy": whole}).to_json())
    run.processes = 1
    run_here(run, 2)
    assert run.losses() == pytest.approx(alone.losses(), abs=CLOSE)
    assert same_model(workspace.trained / "model", alone.workspace.trained / "model")


def test_gradients_of_parameters_that_each_rank_applies_to_its_own_heads(tmp_path: Path) -> None:
    """tensor-parallel with Qwen3's norms of queries and keys: over the micro-batches of a step, their gradients are those of one
    process."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=200, hidden_size=64, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        head_dim=16, max_position_embeddings=128, tie_word_embeddings=True, initializer_range=0.1,
    )  # fmt: skip
    base: Any = Qwen3ForCausalLM(config)
    base.save_pretrained(tmp_path / "base")
    divided = RunStrategy(type="tensor-parallel", tensor_parallel_size=2)
    alone, pair = (
        Run(prepare_workspace(tmp_path / name, tmp_path / "base", method=FULL, strategy=strategy), method=FULL, processes=count)
        for name, strategy, count in (("alone", DDP, 1), ("pair", divided, 2))
    )
    run_here(alone)
    assert pair.attempt() == ExitCode.OK
    rows = Rows(pair.workspace.train_rows)
    plan = StepPlan(rows.lengths, rows.supervised, HYPER["batch_size"], HYPER["micro_batch_tokens"], HYPER["seed"])
    assert len(plan.step(0, 0).ranks[0]) > 1
    assert pair.losses() == pytest.approx(alone.losses(), abs=CLOSE)
    assert [step.grad_norm for step in pair.metrics()] == pytest.approx([step.grad_norm for step in alone.metrics()], rel=1e-3)
    weights, wanted = (load_file(run.workspace.trained / "model" / "model.safetensors") for run in (pair, alone))
    assert all(torch.allclose(weights[name], wanted[name], atol=CLOSE) for name in wanted)


@pytest.mark.parametrize("strategy", [FSDP, RunStrategy(type="fsdp", sharding="grad")], ids=lambda strategy: strategy.sharding)
def test_one_process_with_shards(strategy: RunStrategy, new_run: Callable[..., Run], alone: Run, tmp_path: Path) -> None:
    """LoRA: the same adapter and losses as with ddp, on a frozen base whose weights are gathered; so has the checkpoint in the middle."""
    run = new_run(strategy=strategy, hyper={"total_steps": 12, "checkpoint_every": 6})
    run_here(run)
    halfway = [
        load_file(
            whole_weights(one.trained_run(), checkpoint_at(one.workspace.checkpoints, 1, 6).path, tmp_path) / "adapter_model.safetensors"
        )
        for one in (run, alone)
    ]
    assert halfway[0].keys() == halfway[1].keys()
    assert all(torch.allclose(halfway[0][name], halfway[1][name], atol=CLOSE) for name in halfway[0])
    assert run.losses() == pytest.approx(alone.losses(), abs=CLOSE)
    adapters = [load_file(one.workspace.trained / "adapter" / "adapter_model.safetensors") for one in (run, alone)]
    assert adapters[0].keys() == adapters[1].keys()
    assert all(torch.allclose(adapters[0][name], adapters[1][name], atol=CLOSE) for name in adapters[0])


def test_another_world_size_than_the_run_configs(new_run: Callable[..., Run]) -> None:
    """Is an error: the global batch would be another one."""
    with pytest.raises(StageFailure, match="WORLD_SIZE is 1, and the run config's world has 2 processes"):
        run_here(new_run(processes=2))


def test_divergence_reaches_no_shard(new_run: Callable[..., Run]) -> None:
    """The loop looks at loss and norm before the update: with fsdp as well."""
    run = new_run(strategy=FSDP, hyper={"learning_rate": 1e30, "warmup_steps": 0, "checkpoint_every": 1})
    with pytest.raises(StageFailure) as diverged:
        run_here(run)
    assert diverged.value.exit_code == ExitCode.DIVERGED
