"""The model directory while it is written: killed anywhere, it can be begun again; another's files are left alone."""

from pathlib import Path

import pytest

from finetune_api.model_directory import Lineage, Manifest
from finetune_trainer.failure import StageFailure
from finetune_trainer.publish.draft import Draft, Identity

pytestmark = pytest.mark.trainer
OURS = Identity("spec", "base", "data")
NAMES = ("README.md", "model", "onnx")


def fill(draft: Draft) -> None:
    """Writes a model's files."""
    draft.begin()
    (draft.files / "README.md").write_text("card")
    for name in ("model", "onnx"):
        (draft.files / name).mkdir()
        (draft.files / name / "weights").write_text("bytes")


def manifest(identity: Identity) -> Manifest:
    """A manifest of a model with that identity."""
    lineage = Lineage(
        job="j", namespace="n", job_uid="u", spec_digest=identity.spec_digest, base="b", base_digest=identity.base_digest,
        dataset="d", dataset_digest=identity.dataset_digest, image="", hyperparameters={}, versions={},
    )  # fmt: skip
    return Manifest(model="m", created_at="2026-01-01T00:00:00Z", task="chat", type="full", artifacts=[], lineage=lineage)


@pytest.mark.parametrize("moved", range(len(NAMES) + 1))
def test_killed_while_moving(tmp_path: Path, moved: int) -> None:
    """With any number of entries already in place but no manifest, the next attempt starts from nothing and ends."""
    killed = Draft(tmp_path, OURS)
    fill(killed)
    for name in NAMES[:moved]:
        (killed.files / name).rename(tmp_path / name)
    again = Draft(tmp_path, OURS)
    assert again.finished() is None
    fill(again)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".publishing"]
    again.commit(manifest(OURS))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["MANIFEST.json", *NAMES]


def test_killed_after_the_manifest(tmp_path: Path) -> None:
    """A finished model is recognised, and what is left of its draft is cleared away."""
    draft = Draft(tmp_path, OURS)
    fill(draft)
    draft.commit(manifest(OURS))
    draft.files.mkdir(parents=True)
    assert Draft(tmp_path, OURS).finished() == manifest(OURS)
    assert not draft.folder.exists()


@pytest.mark.parametrize("other", [Identity("s2", "base", "data"), Identity("spec", "b2", "data"), Identity("spec", "base", "d2")])
@pytest.mark.parametrize("finished", [True, False])
def test_another_model_is_refused(tmp_path: Path, other: Identity, finished: bool) -> None:
    """Another spec, base or dataset is another model, finished or half written: nothing of it is touched."""
    draft = Draft(tmp_path, other)
    fill(draft)
    if finished:
        draft.commit(manifest(other))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StageFailure) as caught:
        if Draft(tmp_path, OURS).finished() is None:
            Draft(tmp_path, OURS).begin()
    assert caught.value.error.code == "OutputExists"
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["model", "README.md"])
def test_files_of_unknown_origin_are_refused(tmp_path: Path, name: str) -> None:
    """A folder with somebody's files and no manifest is not ours to clear."""
    (tmp_path / name).mkdir()
    with pytest.raises(StageFailure, match=f"holds {name}, which this job did not write"):
        Draft(tmp_path, OURS).begin()
    assert (tmp_path / name).exists()


def test_a_file_systems_own_folders_do_not_matter(tmp_path: Path) -> None:
    """lost+found of a fresh volume is not part of a model."""
    (tmp_path / "lost+found").mkdir()
    fill(Draft(tmp_path, OURS))
    assert (tmp_path / "lost+found").exists()


def test_an_unreadable_manifest_is_refused(tmp_path: Path) -> None:
    """Bytes that we do not understand are not overwritten either."""
    (tmp_path / "MANIFEST.json").write_text("{")
    with pytest.raises(StageFailure, match="exists and cannot be read"):
        Draft(tmp_path, OURS).finished()
