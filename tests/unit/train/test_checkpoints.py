"""Checkpoints are complete or absent, and the newest of all attempts comes first."""

from pathlib import Path

import pytest

from finetune_trainer.train.checkpoints import (
    DAMAGED,
    checkpoint_at,
    complete_checkpoints,
    figures_of,
    mark_damaged,
    rotate,
    sweep,
)
from finetune_trainer.workspace.files import COMPLETE
from finetune_trainer.workspace.sealed import damage_of, seal

pytestmark = pytest.mark.unit
OURS = "spec-1"


def write(root: Path, attempt: int, step: int, *, sealed: bool = True, digest: str = OURS) -> Path:
    """A checkpoint of two files, one of them below a folder."""
    path = checkpoint_at(root, attempt, step).path
    (path / "deep").mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"x" * 100)
    (path / "deep" / "optimizer.pt").write_bytes(b"y" * 50)
    if sealed:
        seal(path, digest)
    return path


def names(root: Path) -> list[str]:
    """Complete checkpoints, the newest first."""
    return [checkpoint.path.relative_to(root).as_posix() for checkpoint in complete_checkpoints(root, OURS)]


def test_newest_of_all_attempts(tmp_path: Path) -> None:
    """The order is by step, as a number, then by attempt."""
    for attempt, step in [(1, 8), (1, 10), (2, 9), (3, 10), (3, 4)]:
        write(tmp_path, attempt, step)
    write(tmp_path, 4, 12, sealed=False)
    order = [f"attempt-{attempt}/checkpoint-{step}" for attempt, step in [(3, 10), (1, 10), (2, 9), (1, 8), (3, 4)]]
    assert names(tmp_path) == order


def test_none(tmp_path: Path) -> None:
    """A run without checkpoints starts from the base."""
    assert complete_checkpoints(tmp_path / "absent", OURS) == []


@pytest.mark.parametrize("name", [COMPLETE, "model.safetensors"])
def test_what_cannot_be_read_now_is_not_removed(name: str, tmp_path: Path) -> None:
    """A volume may fail for a moment: the checkpoint does not count, and counts again when it can be read."""
    path = write(tmp_path, 1, 4)
    (path / name).rename(tmp_path / "elsewhere")
    (path / name).symlink_to(name)  # to itself: an error that is no absence
    sweep(tmp_path, OURS, 2)
    assert names(tmp_path) == []
    (path / name).unlink()
    (tmp_path / "elsewhere").rename(path / name)
    assert names(tmp_path) == ["attempt-1/checkpoint-4"]


@pytest.mark.parametrize("damage", ["no mark", "empty mark", "torn mark", "odd mark", "old mark", "cut file", "missing file", "no folder"])
def test_damaged_checkpoints_do_not_count(tmp_path: Path, damage: str) -> None:
    """A resume passes over them, and the next attempt removes them."""
    good, bad = write(tmp_path, 1, 2), write(tmp_path, 1, 4)
    match damage:
        case "no mark":
            (bad / COMPLETE).unlink()
        case "empty mark":
            (bad / COMPLETE).write_text("")
        case "torn mark":
            (bad / COMPLETE).write_text('{"model.safe')
        case "odd mark":
            (bad / COMPLETE).write_text("[1]")
        case "old mark":
            (bad / COMPLETE).write_text('{"model.safetensors": 100}')
        case "cut file":
            (bad / "deep" / "optimizer.pt").write_bytes(b"y")
        case "missing file":
            (bad / "model.safetensors").unlink()
        case "no folder":
            for path in sorted(bad.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
    assert [checkpoint.path for checkpoint in complete_checkpoints(tmp_path, OURS)] == [good]
    sweep(tmp_path, OURS, 3)
    assert not bad.exists()
    assert (good / COMPLETE).exists()


def test_rotation_keeps_the_newest_of_all_attempts(tmp_path: Path) -> None:
    """`keep` counts complete checkpoints only; one that is being written is left alone."""
    for attempt, step in [(1, 2), (1, 4), (2, 6), (2, 8)]:
        write(tmp_path, attempt, step)
    unfinished = write(tmp_path, 2, 10, sealed=False)
    rotate(tmp_path, OURS, 2, {})
    assert names(tmp_path) == ["attempt-2/checkpoint-8", "attempt-2/checkpoint-6"]
    assert unfinished.exists()
    assert not (tmp_path / "attempt-1" / "checkpoint-4").exists()


def test_foreign_folders_are_left_alone(tmp_path: Path) -> None:
    """Only directories with a checkpoint's name are touched."""
    for name in ("attempt-1/checkpoint-x", "attempt-1/notes", "other/checkpoint-3", "attempt-1/checkpoint-3.bak"):
        (tmp_path / name).mkdir(parents=True)
    sweep(tmp_path, OURS, 3)
    rotate(tmp_path, OURS, 1, {})
    assert len(list(tmp_path.glob("*/*"))) == 4


def test_another_runs_checkpoints_are_not_ours(tmp_path: Path) -> None:
    """They are neither resumed from nor counted nor removed, unless this attempt is going to use their name."""
    for attempt, step, digest in [(1, 8, "spec-0"), (1, 2, OURS), (2, 9, "spec-0"), (2, 4, OURS), (3, 10, "spec-0")]:
        write(tmp_path, attempt, step, digest=digest)
    sweep(tmp_path, OURS, 3)
    rotate(tmp_path, OURS, 1, {})
    assert names(tmp_path) == ["attempt-2/checkpoint-4"]
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/*"))
    assert left == ["attempt-1/checkpoint-8", "attempt-2/checkpoint-4", "attempt-2/checkpoint-9"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("model.safetensors", b"x" * 100, ""),
        ("model.safetensors", b"x" * 99 + b"z", "model.safetensors does not have the checksum that it was written with"),
        ("deep/optimizer.pt", bytes(50), "deep/optimizer.pt does not have the checksum that it was written with"),
        ("deep/optimizer.pt", b"y", "is not complete"),
    ],
)
def test_every_byte_is_looked_at(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    """A file of the right size may still be another one."""
    path = write(tmp_path, 1, 2)
    (path / name).write_bytes(content)
    assert damage_of(path, OURS).endswith(words)
    assert bool(damage_of(path, OURS)) == bool(words)
    assert damage_of(path, "spec-0").endswith("is of another run") == (words != "is not complete")


def test_a_damaged_checkpoint_goes_with_the_next_one(tmp_path: Path) -> None:
    """Until then its files stay to be looked at, and no attempt resumes from it."""
    for step in (2, 4):
        write(tmp_path, 1, step)
    mark_damaged(checkpoint_at(tmp_path, 1, 4))
    assert names(tmp_path) == ["attempt-1/checkpoint-2"]
    assert (tmp_path / "attempt-1" / "checkpoint-4" / DAMAGED).exists()
    write(tmp_path, 2, 4)
    rotate(tmp_path, OURS, 2, {})
    assert names(tmp_path) == ["attempt-2/checkpoint-4", "attempt-1/checkpoint-2"]
    assert not (tmp_path / "attempt-1" / "checkpoint-4").exists()


@pytest.mark.parametrize(
    ("losses", "kept"),
    [
        ({}, [8, 10]),
        ({2: 1.5, 4: 1.25, 6: 1.75, 9: 0.5}, [4, 8, 10]),  # nothing was saved at step 9
        ({8: 1.25, 10: 1.5}, [8, 10]),
        ({4: 1.25, 6: 1.25, 10: 1.25}, [4, 8, 10]),
    ],
)
def test_the_best_checkpoint_is_kept_beyond_the_newest(losses: dict[int, float], kept: list[int], tmp_path: Path) -> None:
    """It is the one with the lowest validation loss, of equal ones the earliest, and it is said which one it is."""
    for step in (2, 4, 6, 8, 10):
        write(tmp_path, 1 + step // 6, step)
    left = rotate(tmp_path, OURS, 2, losses)
    assert sorted(checkpoint.step for checkpoint in left) == kept
    assert sorted(int(name.rpartition("-")[2]) for name in names(tmp_path)) == kept
    figures = figures_of(left, losses, {10: 3.5})
    assert (figures[0].step, figures[0].loss, figures[0].size_bytes) == (10, 3.5, 150)
    assert [one.step for one in figures if one.best] == ([min(kept, key=lambda step: losses.get(step, 9))] if losses else [])


def test_the_best_checkpoint_is_said_however_old_it_is(tmp_path: Path) -> None:
    """A status lists the newest ones, and the best one after them."""
    for step in range(1, 31):
        write(tmp_path, 1, step)
    figures = figures_of(rotate(tmp_path, OURS, 100, {3: 0.5, 30: 1.5}), {3: 0.5, 30: 1.5}, {})
    assert [one.step for one in figures] == [*range(30, 11, -1), 3]
    assert [one.step for one in figures if one.best] == [3]


def test_what_was_just_written_is_kept(tmp_path: Path) -> None:
    """Also where a newer checkpoint has its mark: it may be one that could not be read."""
    for step in (2, 9, 4):
        write(tmp_path, 1, step)
    rotate(tmp_path, OURS, 1, {}, tmp_path / "attempt-1" / "checkpoint-4")
    assert sorted(names(tmp_path)) == ["attempt-1/checkpoint-4", "attempt-1/checkpoint-9"]
