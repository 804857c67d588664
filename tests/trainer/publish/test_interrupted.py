"""publish as a program: killed, out of space, and run again."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from finetune_api.exit_codes import ExitCode
from finetune_api.model_directory import Manifest
from finetune_api.result import StageResult
from finetune_api.run_config import RunConfig
from finetune_trainer.artifacts.onnx.build import builder_failure
from finetune_trainer.failure import explain
from tests.trainer.publish.programs import command, end_at

pytestmark = pytest.mark.trainer
MakeConfig = Callable[..., RunConfig]


def processes_about(folder: Path) -> list[str]:
    """Command lines of living processes that name a folder."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # it has just ended
            continue
    return [line for line in lines if str(folder) in line]


@pytest.mark.timeout(900)
def test_killed_and_started_again(make_config: MakeConfig, published: RunConfig, folder: Path) -> None:
    """Killed while the ONNX model is built, the next attempt makes the very model of an undisturbed run; a third repeats it."""
    config = make_config(folder, onnx=True)
    program = command(config, folder)
    assert end_at('"activity":"exporting to ONNX"', program, signal.SIGKILL) == -signal.SIGKILL
    assert not Path(config.paths.model, "MANIFEST.json").exists()
    assert processes_about(Path(config.paths.model)) == [], "the ONNX builder outlived its stage"
    subprocess.run(program, check=True, capture_output=True)
    undisturbed, killed = (Manifest.from_json(Path(one.paths.model, "MANIFEST.json").read_bytes()) for one in (published, config))
    assert killed.artifacts == undisturbed.artifacts
    assert killed.evaluation == undisturbed.evaluation
    again = subprocess.run(program, check=True, capture_output=True, text=True)
    assert "publish has already succeeded; repeating its result" in again.stdout


@pytest.mark.timeout(300)
@pytest.mark.parametrize("activity", ["evaluating the base model", "exporting to ONNX"])
def test_stopped_by_sigterm(make_config: MakeConfig, folder: Path, activity: str) -> None:
    """SIGTERM ends the stage at once as an interruption from outside, with a result and without a model."""
    config = make_config(folder, onnx=True)
    assert end_at(f'"activity":"{activity}"', command(config, folder), signal.SIGTERM) == ExitCode.PREEMPTED
    result = StageResult.from_json(Path(config.paths.workspace, "results", "publish.json").read_bytes())
    assert result.error is not None
    assert (result.exit_code, result.error.code) == (ExitCode.PREEMPTED, "Preempted")
    assert not Path(config.paths.model, "MANIFEST.json").exists()
    assert processes_about(Path(config.paths.model)) == []


needs_own_mounts = pytest.mark.skipif(
    shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode != 0,
    reason="needs a mount namespace of its own for a small volume",
)


def on_small_volume(root: Path, size: str, program: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs a program that sees a volume of that size at `root`."""
    root.mkdir()
    mounted = f'mount -t tmpfs -o size={size} tmpfs {root} && exec "$@"'
    return subprocess.run(["unshare", "-rm", "sh", "-c", mounted, "sh", *program], capture_output=True, text=True)


@needs_own_mounts
@pytest.mark.timeout(900)
def test_full_volume(make_config: MakeConfig, folder: Path) -> None:
    """A volume that fills up under the weights ends the stage with its own code, the volume's name and the field to change."""
    config = make_config(folder)
    root = Path(config.paths.model)
    done = on_small_volume(root, "10m", command(config, folder))
    assert done.returncode == ExitCode.STORAGE_FULL, done.stderr
    error = StageResult.from_json(Path(config.paths.workspace, "results", "publish.json").read_bytes()).error
    assert error is not None
    assert (error.code, error.param) == ("StorageFull", "output.storage.size")
    assert str(root) in error.message


@needs_own_mounts
@pytest.mark.timeout(900)
def test_full_volume_in_the_builder(tiny: Path, tmp_path: Path) -> None:
    """A volume that fills up under the ONNX builder is distinguished from other failures of it."""
    root = tmp_path / "model"
    code = (
        "from pathlib import Path; from finetune_trainer.artifacts.onnx.build import build_onnx; "
        f"root = Path({str(root)!r}); build_onnx(Path({str(tiny)!r}), root / 'onnx', root / 'scratch', lambda: None)"
    )
    done = on_small_volume(root, "15m", [sys.executable, "-c", code])
    assert f"OSError: [Errno 28] No space left on device: '{root}/onnx'" in done.stderr


@pytest.mark.parametrize(
    ("code", "log", "exit_code", "error_code"),
    [
        (1, "OSError: [Errno 28] No space left on device: '/model/x'", ExitCode.STORAGE_FULL, "StorageFull"),
        (1, "NotImplementedError: The /m model is not currently supported.", ExitCode.INVALID_INPUT, "ExportUnsupported"),
        (-9, "Reading layer 3", ExitCode.DOES_NOT_FIT, "OutOfMemory"),
        (1, "ValueError: something else", ExitCode.INTERNAL_ERROR, "ExportFailed"),
        (-11, "", ExitCode.INTERNAL_ERROR, "ExportFailed"),
    ],
)
def test_builders_last_words(code: int, log: str, exit_code: ExitCode, error_code: str) -> None:
    """What the ONNX builder dies of decides whether another attempt makes sense."""
    failure = explain(builder_failure(code, log, Path("/model/onnx")))
    assert (failure.exit_code, failure.error.code) == (exit_code, error_code)
