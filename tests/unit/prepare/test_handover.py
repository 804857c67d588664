"""What prepare leaves is on disk before it is said to be there, and is made again when it is there no more."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from finetune_api.exit_codes import ExitCode
from finetune_trainer.__main__ import main
from finetune_trainer.failure import StageFailure
from finetune_trainer.workspace.handover import read_prepared
from finetune_trainer.workspace.workspace import Workspace
from tests.unit.data.rows.samples import good
from tests.unit.prepare.base_folder import make_base
from tests.unit.prepare.run import run_config


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A job that prepare has finished with."""
    make_base(tmp_path / "base")
    (tmp_path / "train.jsonl").write_bytes(b"\n".join(map(good, range(40))) + b"\n")
    (tmp_path / "run.json").write_text(run_config(tmp_path).to_json())
    return tmp_path


def prepare(folder: Path) -> int:
    """The program."""
    return main(["prepare", "--run", str(folder / "run.json")])


def zeroed(path: Path) -> None:
    """What a power cut leaves of a file: its size."""
    path.write_bytes(bytes(path.stat().st_size))


def cut(path: Path) -> None:
    """The first half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE: list[tuple[Callable[[Path], object], str]] = [
    (zeroed, "does not have the checksum that it was written with"),
    (cut, "bytes and was written with"),
    (Path.unlink, "is missing"),
]


@pytest.mark.parametrize(("harm", "words"), DAMAGE)
@pytest.mark.parametrize("name", ["train_rows", "validation_rows", "prompts", "requests"])
def test_damaged_rows_are_written_again(
    name: str, harm: Callable[[Path], object], words: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The later stages refuse them with the code that has prepare run again, and prepare does not repeat its result then."""
    assert prepare(folder) == 0
    workspace, config = Workspace(folder / "workspace"), run_config(folder)
    before, path = read_prepared(config, workspace), getattr(workspace, name)
    harm(path)
    with pytest.raises(StageFailure, match=words) as refused:
        read_prepared(config, workspace)
    assert refused.value.exit_code == ExitCode.WORKSPACE_DAMAGED
    assert str(path) in str(refused.value)
    assert prepare(folder) == 0
    assert f"prepare has already succeeded, but {path}" in capfd.readouterr().out
    assert read_prepared(config, workspace) == before
    assert prepare(folder) == 0
    assert "prepare has already succeeded; repeating its result" in capfd.readouterr().out


def test_what_an_older_version_prepared_is_prepared_again(folder: Path) -> None:
    """It says nothing of its files, and lacks some: better before the training than after it."""
    assert prepare(folder) == 0
    workspace, config = Workspace(folder / "workspace"), run_config(folder)
    older = json.loads(workspace.prepared.read_text())
    del older["files"]
    workspace.prepared.write_text(json.dumps(older))
    workspace.requests.unlink()
    with pytest.raises(StageFailure, match="files: Field required: the prepare stage has to run again") as refused:
        read_prepared(config, workspace)
    assert refused.value.exit_code == ExitCode.WORKSPACE_DAMAGED
    assert prepare(folder) == 0
    assert read_prepared(config, workspace).files


def test_a_failure_of_the_second_run_is_a_failure(folder: Path) -> None:
    """The success before it, whose files have gone, is not repeated."""
    assert prepare(folder) == 0
    zeroed(Workspace(folder / "workspace").train_rows)
    (folder / "train.jsonl").unlink()
    assert prepare(folder) == ExitCode.INVALID_INPUT


def test_other_rows_are_another_run(folder: Path) -> None:
    """Checkpoints of what was prepared from other bytes are not gone on with."""
    workspace, config = Workspace(folder / "workspace"), run_config(folder)
    assert prepare(folder) == 0
    before = read_prepared(config, workspace)
    zeroed(workspace.train_rows)
    (folder / "train.jsonl").write_bytes(b"\n".join(map(good, range(1, 41))) + b"\n")
    assert prepare(folder) == 0
    assert read_prepared(config, workspace).identity != before.identity


def test_rows_are_on_disk_before_prepared_json_speaks_of_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut at any moment leaves rows that are whole, or no prepared.json."""
    synced: list[str] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        synced.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    assert prepare(folder) == 0
    decided = next(number for number, name in enumerate(synced) if name.startswith(".prepared.json"))
    rows = [f".{name}.arrow.part" for name in ("train", "validation", "prompts")]
    assert [name in synced[:decided] for name in rows] == [True] * 3
    assert "data" in synced[synced.index(rows[-1]) : decided], "the new name of a file is its folder's content"
