"""Files of mounted volumes: what is missing, and what is beside it."""

from pathlib import Path

import pytest

from finetune_api.run_config import RunSource
from finetune_trainer.failure import StageFailure
from finetune_trainer.sources.open import fetch_file, open_folder
from finetune_trainer.sources.subject import Subject


@pytest.fixture
def claim(tmp_path: Path) -> Path:
    """A mounted claim."""
    (tmp_path / "2026").mkdir()
    (tmp_path / "2026" / "train.jsonl").write_text("{}")
    (tmp_path / "all.jsonl").write_text("{}")
    return tmp_path


def failure(claim: Path, path: str, shown_as: str = "pvc://data/{}") -> StageFailure:
    """What fetching a path of the claim ends with."""
    subject = Subject(shown_as.format(path), "dataset.train.source", "DataNotFound")
    with pytest.raises(StageFailure) as caught:
        fetch_file(RunSource(uri=str(claim / path)), subject, claim / "target", lambda size: None, lambda count: None)
    return caught.value


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("2026/trian.jsonl", "file not found; the folder pvc://data/2026 holds: train.jsonl"),
        ("al.jsonl", "file not found; the claim holds: all.jsonl, 2026"),
        ("2025/train.jsonl", "file not found; the claim holds: 2026, all.jsonl"),
        ("2025/a/b/train.jsonl", "file not found; the claim holds: 2026, all.jsonl"),
        ("2026", "this is a folder, but a file is required; the claim holds: 2026/train.jsonl"),
    ],
)
def test_what_is_missing_is_told_with_what_is_there(claim: Path, path: str, words: str) -> None:
    """The names beside it, or those in the first folder above it that is there."""
    assert failure(claim, path).error.message == f"pvc://data/{path}: {words}"


def test_a_missing_folder(claim: Path) -> None:
    """In the same way."""
    with pytest.raises(StageFailure, match="pvc://data/2025/base: folder not found; the claim holds: 2026"):
        open_folder(RunSource(uri=str(claim / "2025/base")), Subject("pvc://data/2025/base", "base.source", "BaseModelNotFound"))


def test_a_file_is_used_where_it_lies(claim: Path) -> None:
    """As a path and as file://, with what is escaped in it."""
    (claim / "a b.jsonl").write_text("{}")
    subject = Subject("pvc://data/a b.jsonl", "dataset.train.source", "DataNotFound")
    for uri in (str(claim / "a b.jsonl"), f"file://{claim}/a%20b.jsonl"):
        assert fetch_file(RunSource(uri=uri), subject, claim / "target", print, print) == claim / "a b.jsonl"
