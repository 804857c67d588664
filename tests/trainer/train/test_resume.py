"""Interrupted and gone on with: the losses of the uninterrupted run, checkpoints complete or absent. One process, in this one."""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from finetune_api.exit_codes import ExitCode
from finetune_trainer.failure import StageFailure, explain
from finetune_trainer.train.checkpoints import complete_checkpoints
from finetune_trainer.train.errors import explain_rank
from finetune_trainer.train.loop.metrics import read_metrics
from finetune_trainer.workspace.checksums import sums_of
from finetune_trainer.workspace.files import COMPLETE, walk
from finetune_trainer.workspace.sealed import seal_files
from tests.models.tiny_models import make_language_model
from tests.trainer.train.conftest import LONG, run_here
from tests.trainer.train.runs import FULL, LORA, OWNER, Run, prepare_workspace

pytestmark = [pytest.mark.trainer, pytest.mark.filterwarnings("ignore")]
DROPOUT = {"type": "lora", "lora": {"rank": 4, "alpha": 8, "dropout": 0.1, "targetModules": ["q_proj", "v_proj"]}}
ROUNDING = 1e-6
"""A sum's last bit depends on where in memory its parts lie."""


def stop_at(run: Run, step: int) -> Callable[[], bool]:
    """SIGTERM that arrives while `step` is computed."""
    return lambda: any(metrics.step >= step - 1 for metrics in read_metrics(run.workspace.metrics)) or step <= 1


@pytest.fixture(scope="session")
def with_dropout(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Run:
    """LoRA with dropout from start to end, with a checkpoint after every second step."""
    run = Run(prepare_workspace(tmp_path_factory.mktemp("dropout"), tiny, method=DROPOUT, **LONG), method=DROPOUT, keep=2)
    run_here(run)
    return run


@pytest.mark.parametrize("step", [3, 4, 9])
def test_sigterm_writes_a_checkpoint_and_the_next_attempt_goes_on_exactly(
    step: int, new_run: Callable[..., Run], with_dropout: Run
) -> None:
    """Within an epoch, at its end, and in a later one, with dropout: the same losses, each step once in metrics.csv."""
    run = new_run(method=DROPOUT, hyper=LONG)
    with pytest.raises(StageFailure) as stopped:
        run_here(run, 1, stop_at(run, step))
    assert stopped.value.exit_code == ExitCode.PREEMPTED
    assert complete_checkpoints(run.workspace.checkpoints, OWNER)[0].step == step
    run_here(run, 2)
    assert [metrics.step for metrics in run.metrics()] == list(range(1, 13))
    assert run.losses() == pytest.approx(with_dropout.losses(), rel=ROUNDING)
    assert run.metrics()[-1].tokens == with_dropout.metrics()[-1].tokens


def test_full_fine_tuning_goes_on_exactly(new_run: Callable[..., Run], alone_full: Run) -> None:
    """Weights and optimizer come back whole."""
    run = new_run(method=FULL, hyper={"checkpoint_every": 100})
    with pytest.raises(StageFailure, match="at step 3, with a checkpoint"):
        run_here(run, 1, stop_at(run, 3))
    run_here(run, 2)
    assert run.losses() == pytest.approx(alone_full.losses(), rel=ROUNDING)


@pytest.fixture(scope="session")
def experts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mixture of experts: its state has one tensor for all experts of a layer, its files one for each expert."""
    return make_language_model("mixtral", tmp_path_factory.mktemp("experts"))


@pytest.mark.parametrize("method", [LORA, FULL], ids=["lora", "full"])
def test_a_family_whose_files_have_other_names_goes_on_exactly(method: dict[str, Any], new_run: Callable[..., Run], experts: Path) -> None:
    """The trained weights of the interrupted run are those of the uninterrupted one, every expert included."""
    hyper: dict[str, Any] = {"total_steps": 4, "checkpoint_every": 100}
    whole = Run(prepare_workspace(experts.parent / f"whole-{method['type']}", experts, method=method, **hyper), method)
    run_here(whole)
    run = new_run(base=experts, method=method, hyper=hyper)
    with pytest.raises(StageFailure, match="at step 2, with a checkpoint"):
        run_here(run, 1, stop_at(run, 2))
    run_here(run, 2)
    assert run.losses() == pytest.approx(whole.losses(), rel=ROUNDING)
    ours, theirs = (load_file(next(one.workspace.trained.glob("*/*.safetensors"))) for one in (run, whole))
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(ours[name], theirs[name], rtol=0, atol=1e-6) for name in ours)


@pytest.mark.parametrize("method", [LORA, FULL], ids=["lora", "full"])
def test_a_checkpoint_of_another_model_is_refused(method: dict[str, Any], new_run: Callable[..., Run]) -> None:
    """A tensor that is missing or unknown would leave the base's weights in its place."""
    run = new_run(method=method, hyper={"total_steps": 4})
    with pytest.raises(StageFailure, match="at step 2, with a checkpoint"):
        run_here(run, 1, stop_at(run, 2))
    checkpoint = complete_checkpoints(run.workspace.checkpoints, OWNER)[0].path
    (path,) = checkpoint.glob("*.safetensors")
    weights = load_file(path)
    name = next(name for name in sorted(weights) if "q_proj" in name)
    save_file({("other" if found == name else found): tensor for found, tensor in weights.items()}, path, {"format": "pt"})
    seal_files(checkpoint, OWNER, sums_of(checkpoint, [found for found in walk(checkpoint) if found.name != COMPLETE]))
    with pytest.raises(StageFailure, match="1 of its tensors are missing, 1 are unknown") as refused:
        run_here(run, 2)
    assert refused.value.error.code == "CheckpointMismatch"
    assert any(name in line for line in refused.value.error.details)


def test_sigterm_while_the_model_loads(new_run: Callable[..., Run]) -> None:
    """There is nothing to save yet, and nothing is written."""
    run = new_run()
    with pytest.raises(StageFailure, match="before its first step"):
        run_here(run, 1, lambda: True)
    assert run.checkpoints() == []
    assert run.metrics() == []


def test_the_newest_complete_checkpoints_of_all_attempts_are_kept(with_dropout: Run) -> None:
    """`keep` is 2, a checkpoint is written after every second step but the last, which leaves the weights themselves."""
    assert with_dropout.checkpoints() == ["attempt-1/checkpoint-10", "attempt-1/checkpoint-8"]


def zeroed(path: Path) -> None:
    """What a power cut leaves of a file: its size."""
    path.write_bytes(bytes(path.stat().st_size))


def zeroed_tensors(path: Path) -> None:
    """A file that loads without complaint."""
    save_file({name: torch.zeros_like(tensor) for name, tensor in load_file(path).items()}, path, {"format": "pt"})


def cut(path: Path) -> None:
    """Half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE: list[tuple[str, Callable[[Path], object]]] = [
    ("optimizer.pt", zeroed),
    ("adapter_model.safetensors", zeroed_tensors),
    ("scheduler.pt", zeroed),
    ("trainer_state.json", cut),
    ("rng_state.pth", Path.unlink),
]


def copied(with_dropout: Run, folder: Path, tiny: Path) -> Run:
    """Another run that is where this one was at its end."""
    shutil.copytree(with_dropout.workspace.root, folder)
    (folder / "results" / "train.json").unlink()
    return Run(prepare_workspace(folder, tiny, method=DROPOUT, **LONG), method=DROPOUT, keep=2)


@pytest.mark.parametrize(("file", "harm"), DAMAGE, ids=[f"{file} {harm.__name__}" for file, harm in DAMAGE])
def test_damaged_checkpoints_are_passed_over(
    file: str, harm: Callable[[Path], object], tmp_path: Path, tiny: Path, with_dropout: Run
) -> None:
    """An attempt starts from the newest checkpoint that is whole, with its losses, and says so; the damaged one and what is half
    written are gone in the end."""
    run = copied(with_dropout, tmp_path / "workspace", tiny)
    checkpoints = run.workspace.checkpoints
    harm(checkpoints / "attempt-1" / "checkpoint-10" / file)
    (checkpoints / "attempt-2" / "checkpoint-11").mkdir(parents=True)
    (checkpoints / "attempt-2" / "checkpoint-11" / "adapter_model.safetensors").write_bytes(b"half")
    run_here(run, 3)
    assert run.losses() == pytest.approx(with_dropout.losses(), rel=ROUNDING)
    assert run.checkpoints() == ["attempt-1/checkpoint-8", "attempt-3/checkpoint-10"]
    summary = run.result().train
    assert summary is not None
    reported = [f"{checkpoints}/attempt-1/checkpoint-10/{file}", "training resumes from attempt-1/checkpoint-8"]
    cut_short = harm in (cut, Path.unlink)  # such a mark does not count from the beginning
    assert [all(part in found.message for part in reported) for found in summary.warnings] == ([] if cut_short else [True])


def test_a_run_without_a_whole_checkpoint_starts_again(
    tmp_path: Path, tiny: Path, with_dropout: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    """With the same losses, and it says why."""
    run = copied(with_dropout, tmp_path / "workspace", tiny)
    for checkpoint in complete_checkpoints(run.workspace.checkpoints, OWNER):
        zeroed(checkpoint.path / "optimizer.pt")
    run_here(run, 2)
    assert run.losses() == pytest.approx(with_dropout.losses(), rel=ROUNDING)
    assert "no checkpoint is left, so training restarts from the base" in capfd.readouterr().out
    summary = run.result().train
    assert summary is not None
    assert [found.code for found in summary.warnings] == ["CheckpointDamaged"] * 2


def test_a_run_whose_last_steps_are_done_only_leaves_its_weights(new_run: Callable[..., Run], with_dropout: Run) -> None:
    """A checkpoint of the last step is not trained on any further: its weights are the trained ones, another spec's are not."""
    run = new_run(method=DROPOUT, hyper=LONG)
    with pytest.raises(StageFailure):
        run_here(run, 1, stop_at(run, 11))
    prepared = run.workspace.prepared
    prepared.write_text(prepared.read_text().replace('"totalSteps":12', '"totalSteps":11'))
    run_here(run, 2)
    assert [metrics.step for metrics in run.metrics()] == list(range(1, 12))
    summary = run.result().train
    assert summary is not None
    assert summary.loss == pytest.approx(with_dropout.metrics()[10].loss, rel=ROUNDING)
    saved = complete_checkpoints(run.workspace.checkpoints, OWNER)[0].path / "adapter_model.safetensors"
    written = load_file(run.workspace.trained / "adapter" / "adapter_model.safetensors")
    assert {name: tensor.tolist() for name, tensor in written.items()} == {name: t.tolist() for name, t in load_file(saved).items()}
    assert complete_checkpoints(run.workspace.checkpoints, "spec-0") == []
    run.workspace.metrics.unlink()
    with pytest.raises(StageFailure, match="does not say any more what the loss of step 11 was"):
        run_here(run, 3)


def test_divergence(new_run: Callable[..., Run]) -> None:
    """A loss that is not a number ends the attempt before it reaches a checkpoint, naming the field to change."""
    run = new_run(hyper={"learning_rate": 1e30, "warmup_steps": 0, "checkpoint_every": 1})
    with pytest.raises(StageFailure) as diverged:
        run_here(run)
    assert diverged.value.exit_code == ExitCode.DIVERGED
    assert "hyperparameters.learningRate" in str(diverged.value)
    assert all(step.loss < 1e30 for step in run.metrics())


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 6 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    volume = tmp_path / "volume"
    volume.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", volume], check=True)
    yield volume
    subprocess.run(["umount", "--lazy", volume], check=True)


def test_a_full_volume(small_volume: Path, tiny: Path) -> None:
    """The checkpoint that did not fit is removed, those before it stay, and on a larger volume the run goes on from there."""
    method = {"type": "lora", "lora": {"rank": 48, "alpha": 96, "targetModules": ["q_proj", "v_proj"]}}
    run = Run(prepare_workspace(small_volume, tiny, method=method, **LONG), method=method, keep=100)
    with pytest.raises(OSError) as full:
        run_here(run)
    failure = explain(full.value)
    assert failure.exit_code == ExitCode.STORAGE_FULL
    assert "workspace.storage.size" in str(failure)
    kept = complete_checkpoints(run.workspace.checkpoints, OWNER)
    assert kept
    assert len(run.checkpoints()) == len(kept)
    subprocess.run(["mount", "-o", "remount,size=200m", small_volume], check=True)
    run_here(run, 2)
    assert [metrics.step for metrics in run.metrics()] == list(range(1, 13))
    assert (kept[0].path / COMPLETE).exists()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("[...gloo/transport/tcp/pair.cc:537] Read error [127.0.0.1]:1: Connection reset by peer"), ExitCode.PEER_LOST),
        (TimeoutError("job-0.job has no address"), ExitCode.PEER_LOST),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out", "/workspace/metrics.csv"), ExitCode.INTERNAL_ERROR),
        (ConnectionError(errno.ECONNRESET, "Connection reset by peer", "/workspace/metrics.csv"), ExitCode.INTERNAL_ERROR),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), ExitCode.DOES_NOT_FIT),
        (MemoryError(), ExitCode.DOES_NOT_FIT),
        (RuntimeError("CUDA error: out of memory"), ExitCode.DOES_NOT_FIT),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), ExitCode.DOES_NOT_FIT),
        (RuntimeError("NCCL Error 1: unhandled cuda error: Cuda failure 2 'out of memory'"), ExitCode.DOES_NOT_FIT),
        (RuntimeError("NCCL communicator was aborted on rank 1"), ExitCode.PEER_LOST),
        (RuntimeError("NCCL error: Bootstrap : no socket interface found"), ExitCode.INTERNAL_ERROR),
        (RuntimeError("NCCL WARN Duplicate GPU detected : rank 0 and rank 1 both on CUDA device 1b000"), ExitCode.INTERNAL_ERROR),
        (RuntimeError("NCCL error: unhandled cuda error: CUDA driver version is insufficient"), ExitCode.INTERNAL_ERROR),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), ExitCode.INTERNAL_ERROR),
        (RuntimeError("shape mismatch"), ExitCode.INTERNAL_ERROR),
    ],
)
def test_errors_become_exit_codes(error: Exception, code: ExitCode) -> None:
    """What torch says is read once, and reported in the terms of the spec."""
    assert explain_rank(error).exit_code == code


def test_a_broken_gpu_names_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the spec's fault: somebody has to look at the machine."""
    monkeypatch.setenv("NODE_NAME", "gpu-7")
    failure = explain_rank(RuntimeError("CUDA error: uncorrectable ECC error encountered"))
    assert (failure.error.code, "gpu-7" in failure.error.message) == ("GpuFailed", True)


def test_wrong_target_modules(new_run: Callable[..., Run]) -> None:
    """What only the model can tell is wrong is reported as invalid input, with its field."""
    run = new_run(method={"type": "lora", "lora": {"rank": 4, "alpha": 8, "targetModules": ["no_such_layer"]}})
    with pytest.raises(StageFailure, match=r"method\.lora\.targetModules \['no_such_layer'\]") as refused:
        run_here(run)
    assert refused.value.exit_code == ExitCode.INVALID_INPUT


def test_a_base_that_cannot_be_loaded(tmp_path: Path, tiny: Path, new_run: Callable[..., Run]) -> None:
    """Told as input that names the field, whatever library noticed it."""
    base = tmp_path / "base"
    shutil.copytree(tiny, base)
    (base / "model.safetensors").write_bytes(b"not a tensor")
    with pytest.raises(StageFailure, match="cannot load the base model") as refused:
        run_here(new_run(base=base))
    assert (refused.value.exit_code, refused.value.error.param) == (ExitCode.INVALID_INPUT, "base.source")
