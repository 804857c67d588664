"""Prepare with its data and base model in S3, against a real server. What all object stores have in common: tests/trainer/sources."""

from pathlib import Path
from typing import Any

import pytest

from finetune_api.exit_codes import ExitCode
from finetune_api.result import PrepareSummary
from finetune_trainer.failure import StageFailure
from finetune_trainer.prepare.main import prepare
from finetune_trainer.workspace.prepared import Prepared
from finetune_trainer.workspace.workspace import Workspace
from tests.trainer.prepare.s3 import Bucket
from tests.unit.data.rows.samples import good
from tests.unit.prepare.base_folder import make_base
from tests.unit.prepare.run import run_config

ROWS = b"\n".join(map(good, range(40)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The data and the base, on this machine."""
    make_base(tmp_path / "base")
    (tmp_path / "train.jsonl").write_bytes(ROWS)
    return tmp_path


@pytest.fixture
def filled(bucket: Bucket, folder: Path) -> Bucket:
    """The same in the bucket."""
    bucket.put("data/train.jsonl", ROWS)
    bucket.put("data/validation.jsonl", good(99))
    bucket.put_folder("models/base", folder / "base")
    return bucket


def in_bucket(bucket: Bucket, key: str) -> dict[str, str]:
    """A source of a run config."""
    return {"uri": f"s3://{bucket.name}/{key}", "envPrefix": "DATA_"}


def run(folder: Path, bucket: Bucket, data: str | None = "data/train.jsonl", base: str | None = "models/base") -> PrepareSummary:
    """Prepare with `data`, and with `base`, from the bucket; None takes the local one."""
    settings: dict[str, Any] = {}
    if data is not None:
        settings["dataset"] = {"train": in_bucket(bucket, data), "split": {}}
    if base is not None:
        settings["base"] = {"source": in_bucket(bucket, base)}
    summary = prepare(run_config(folder, **settings), 1).prepare
    assert summary is not None
    return summary


def refusal(folder: Path, bucket: Bucket, **sources: Any) -> StageFailure:
    """The failure that the stage ends with."""
    with pytest.raises(StageFailure) as caught:
        run(folder, bucket, **sources)
    return caught.value


def test_s3_gives_what_local_files_give(folder: Path, filled: Bucket) -> None:
    """The source makes no difference to the rows, the digests and the decisions; downloads of rows are cleared away."""
    local = prepare(run_config(folder), 1).prepare
    assert local is not None
    remote = run(folder, filled)
    workspace = Workspace(folder / "workspace")
    assert (remote.dataset, remote.base_digest, remote.hyperparameters) == (local.dataset, local.base_digest, local.hyperparameters)
    assert Prepared.from_json(workspace.prepared.read_bytes()).base_path == str(workspace.base)
    assert {path.name for path in workspace.base.iterdir() if path.name[0] != "."} == {path.name for path in (folder / "base").iterdir()}
    assert (workspace.base / ".complete").exists()
    assert not workspace.downloads.exists()


def test_a_download_goes_on_where_it_was_interrupted(folder: Path, filled: Bucket) -> None:
    """Files that had arrived are not fetched again; what was missing is."""
    run(folder, filled)
    base = Workspace(folder / "workspace").base
    (base / ".complete").unlink()
    (base / "model.safetensors").unlink()
    (base / ".model.safetensors.part").write_bytes(b"half")
    arrived = {path.name: path.stat().st_mtime_ns for path in base.iterdir() if path.name[0] != "."}
    run(folder, filled)
    assert {name: (base / name).stat().st_mtime_ns for name in arrived} == arrived
    assert (base / "model.safetensors").read_bytes() == (folder / "base" / "model.safetensors").read_bytes()
    assert (base / ".complete").exists()


def test_a_model_that_has_changed_is_fetched_anew(folder: Path, filled: Bucket) -> None:
    """Files of two versions are never mixed, also when their sizes are equal."""
    first = run(folder, filled)
    weights = bytearray((folder / "base" / "model.safetensors").read_bytes())
    weights[-1] = 1
    filled.put("models/base/model.safetensors", bytes(weights))
    assert run(folder, filled).base_digest != first.base_digest


@pytest.mark.parametrize(
    "sources, code, param, words",
    [
        (
            {"data": "data/trian.jsonl"},
            "DataNotFound",
            "dataset.train.source",
            "object not found; the folder s3://BUCKET/data",
        ),
        ({"base": "models/bas"}, "BaseModelNotFound", "base.source", "folder not found; the folder s3://BUCKET/models holds: base"),
        ({"base": "models"}, "BaseModelIncomplete", "base.source", "has no config.json"),
    ],
)
def test_what_is_missing_is_told_with_what_is_there(
    folder: Path, filled: Bucket, sources: dict[str, str], code: str, param: str, words: str
) -> None:
    """The spec's field, the source as it was written, and the names beside it."""
    failure = refusal(folder, filled, **sources)
    assert (failure.exit_code, failure.error.code, failure.error.param) == (ExitCode.INVALID_INPUT, code, param)
    assert words.replace("BUCKET", filled.name) in failure.error.message
    assert f"s3://{filled.name}/{next(iter(sources.values()))}" in failure.error.message


def test_wrong_keys_of_a_base(folder: Path, filled: Bucket) -> None:
    """In the words of the field that names it."""
    with filled.checked_keys():
        failure = refusal(folder, filled, data=None)
    assert (failure.exit_code, failure.error.code, failure.error.param) == (ExitCode.INVALID_INPUT, "AccessDenied", "base.source")
    assert "the key in the Secret is not known to the server" in failure.error.message


def test_no_keys(folder: Path, filled: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the field that brings credentials."""
    monkeypatch.delenv("DATA_AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("DATA_AWS_SECRET_ACCESS_KEY")
    failure = refusal(folder, filled, base=None)
    assert (failure.error.code, failure.error.param) == ("AccessDenied", "dataset.train.source")
    assert "credentials.secretRef" in failure.error.message


def test_a_full_workspace_is_noticed_before_the_download(folder: Path, filled: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is fetched that cannot be stored."""
    monkeypatch.setattr("finetune_trainer.prepare.dataset.row_source.free_bytes", lambda path: 10)
    failure = refusal(folder, filled, base=None)
    assert (failure.exit_code, failure.error.param) == (ExitCode.STORAGE_FULL, "workspace.storage.size")
    assert not Workspace(folder / "workspace").downloads.exists()
